// SPDX-License-Identifier: GPL-2.0
/*
 * What code outside KVM's modules, or modules built against the stock headers,
 * knows of KVM's structures.  build-modules compiles this with the stock and
 * with the patched headers, and wants the same numbers.
 */
#include <linux/kbuild.h>
#include <linux/kvm_host.h>

#define OFFSET_IN(type, member) OFFSET(type##_##member, type, member)

void layout(void);
void layout(void)
{
	/* kernel/entry/kvm.c, built into vmlinux */
	OFFSET_IN(kvm_vcpu, run);
	OFFSET_IN(kvm_vcpu, stat);
	OFFSET_IN(kvm_vcpu_stat, generic);
	OFFSET(signal_exits, kvm_vcpu, stat.signal_exits);

	/* all before what the series appends */
	OFFSET_IN(kvm_vcpu, kvm);
	OFFSET_IN(kvm_vcpu, mutex);
	OFFSET_IN(kvm_vcpu, arch);
	OFFSET_IN(kvm_vcpu_stat, exits);
	OFFSET_IN(kvm_vcpu_stat, notify_window_exits);

	/* perf in vmlinux reads kvm_pmu; the others are shared by value */
	DEFINE(sizeof_kvm_pmu, sizeof(struct kvm_pmu));
	DEFINE(sizeof_kvm_vcpu_arch, sizeof(struct kvm_vcpu_arch));
	DEFINE(sizeof_kvm_arch, sizeof(struct kvm_arch));
	DEFINE(sizeof_kvm, sizeof(struct kvm));
	DEFINE(sizeof_kvm_memory_slot, sizeof(struct kvm_memory_slot));
}
