#include "ridgeline/kernels/impl/int8_table.h"
