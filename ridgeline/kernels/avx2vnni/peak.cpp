#include "ridgeline/kernels/impl/peak.h"
