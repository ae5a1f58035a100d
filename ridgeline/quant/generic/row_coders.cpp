#include "ridgeline/quant/impl/row_coders.h"
