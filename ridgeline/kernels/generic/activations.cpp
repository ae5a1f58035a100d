#include "ridgeline/kernels/impl/activation_table.h"
