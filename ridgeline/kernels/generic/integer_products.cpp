#include "ridgeline/kernels/impl/integer_table.h"
