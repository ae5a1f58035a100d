#include "ridgeline/kernels/impl/float_table.h"
