/* SPDX-License-Identifier: GPL-2.0 */
/* The counters as a guest reads them, leaf by leaf with CPUID. */
#ifndef SOURCE_CPUID_H
#define SOURCE_CPUID_H

#include "source/source.h"

extern const struct source_ops cpuid_source;

/* The ISA of this CPU's maker: "vmx" or "svm". */
const char *cpuid_isa(void);

#endif
