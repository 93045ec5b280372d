/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The exits of a kernel whose KVM does not count them, by eBPF
 *
 * Needs BTF of the kernel and of KVM's modules, and CAP_SYS_ADMIN, because KVM
 * is modules.  Counting begins when it is opened and ends when it is closed.
 * Times are ns of CLOCK_MONOTONIC, from KVM's tracepoints kvm_exit and kvm_entry.
 */
#ifndef SOURCE_BPF_H
#define SOURCE_BPF_H

#include "source/source.h"

extern const struct source_ops bpf_source;

#endif
