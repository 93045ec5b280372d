/* SPDX-License-Identifier: GPL-2.0 */
/* The counters as a guest reads them, leaf by leaf with CPUID. */
#ifndef SOURCE_CPUID_H
#define SOURCE_CPUID_H

#include "model/scope.h"

int cpuid_read(struct exit_scope *scope);
/* The ISA of this CPU's maker: "vmx" or "svm". */
const char *cpuid_isa(void);

#endif
