#include "ridgeline/quant/impl/grid_formats.h"
