/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_EXIT_STATS_H
#define __KVM_X86_EXIT_STATS_H

#include <linux/jump_label.h>
#include <linux/kvm_host.h>
#include <linux/percpu.h>
#include <linux/tracepoint-defs.h>

#include <asm/msr.h>

/*
 * What a vendor module tells about its exit reasons.  An exit number is what
 * the architecture calls the exit: VMX's basic exit reason, SVM's exit code.
 */
struct kvm_exit_isa {
	/* "vmx" or "svm" */
	const char *name;
	bool is_svm;
	/* The first exit number above all that the architecture defines. */
	u32 nr_end;
	/* The slot of an exit number, or -ENOENT if it is not defined. */
	int (*nr_to_slot)(u32 nr);
	/* The exit number of a slot other than KVM_EXIT_SLOT_OTHER. */
	u32 (*slot_to_nr)(unsigned int slot);
	/* The kernel's own table of names, VMX_EXIT_REASONS or its like. */
	const struct trace_print_flags *names;
	unsigned int nr_names;
};

/*
 * Where a vCPU's time goes between VM-exit and the next VM-entry.  Only the
 * handle phase is charged so far.
 */
enum kvm_exit_phase {
	/* KVM runs on behalf of the vCPU */
	KVM_EXIT_PHASE_HANDLE,
	/* KVM_RUN returned to the VMM */
	KVM_EXIT_PHASE_USER,
	/* blocked, or polling before it blocks */
	KVM_EXIT_PHASE_WAIT,
};

#ifdef CONFIG_KVM_EXIT_STATS

DECLARE_STATIC_KEY_TRUE(kvm_exit_stats_key);
extern unsigned long kvm_exit_stats_epoch;
extern struct kvm_exit_counts __percpu *kvm_exit_counts_cpu;

int kvm_exit_stats_init(void);
void kvm_exit_stats_exit(void);

void kvm_exit_clock_switch(struct kvm_vcpu *vcpu, enum kvm_exit_phase phase);

bool kvm_exit_stats_cpuid(struct kvm_vcpu *vcpu, u32 function, u32 index,
			  u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);

void kvm_exit_stats_debugfs_host(struct dentry *dir);
void kvm_exit_stats_debugfs_vm(struct kvm *kvm);
void kvm_exit_stats_debugfs_vcpu(struct kvm_vcpu *vcpu, struct dentry *dir);

/*
 * Charge the time since the clock's stamp to the pending exit.  The caller
 * knows that the clock runs and that it is in the handle phase.
 */
static __always_inline void kvm_exit_clock_charge(struct kvm_vcpu *vcpu)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;
	u64 now = rdtsc();

	/* TSCs of two CPUs may differ, and a TSC may restart after suspend. */
	if (unlikely(now < clock->stamp)) {
		vcpu->stat.exit_counts.clamped++;
		this_cpu_inc(kvm_exit_counts_cpu->clamped);
		return;
	}

	now -= clock->stamp;
	vcpu->stat.exit_counts.handle_cycles[clock->slot] += now;
	this_cpu_add(kvm_exit_counts_cpu->handle_cycles[clock->slot], now);
}

/* Call with interrupts off, as near as possible before VM-entry. */
static __always_inline void kvm_exit_stats_vmentry(struct kvm_vcpu *vcpu)
{
	if (!static_branch_likely(&kvm_exit_stats_key))
		return;

	if (vcpu->exit_clock.epoch == READ_ONCE(kvm_exit_stats_epoch))
		kvm_exit_clock_charge(vcpu);
}

/*
 * Call with interrupts off, as near as possible after VM-exit.  A slot out of
 * range counts as KVM_EXIT_SLOT_OTHER.
 */
static __always_inline void kvm_exit_stats_vmexit(struct kvm_vcpu *vcpu,
						  unsigned int slot,
						  bool failed_entry)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;
	unsigned long epoch;

	if (!static_branch_likely(&kvm_exit_stats_key))
		return;

	epoch = READ_ONCE(kvm_exit_stats_epoch);
	if (unlikely(!(epoch & 1)))
		return;

	if (unlikely(slot >= KVM_EXIT_SLOTS))
		slot = KVM_EXIT_SLOT_OTHER;

	clock->stamp = rdtsc();
	clock->epoch = epoch;
	clock->slot = slot;
	clock->phase = KVM_EXIT_PHASE_HANDLE;

	vcpu->stat.exit_counts.exits[slot]++;
	this_cpu_inc(kvm_exit_counts_cpu->exits[slot]);

	if (unlikely(failed_entry)) {
		vcpu->stat.exit_counts.failed_entries++;
		this_cpu_inc(kvm_exit_counts_cpu->failed_entries);
	}
}

#else /* !CONFIG_KVM_EXIT_STATS */

static inline int kvm_exit_stats_init(void)
{
	return 0;
}

static inline void kvm_exit_stats_exit(void)
{
}

static inline void kvm_exit_clock_switch(struct kvm_vcpu *vcpu,
					 enum kvm_exit_phase phase)
{
}

static inline bool kvm_exit_stats_cpuid(struct kvm_vcpu *vcpu, u32 function,
					u32 index, u32 *eax, u32 *ebx,
					u32 *ecx, u32 *edx)
{
	return false;
}

static inline void kvm_exit_stats_debugfs_host(struct dentry *dir)
{
}

static inline void kvm_exit_stats_debugfs_vm(struct kvm *kvm)
{
}

static inline void kvm_exit_stats_debugfs_vcpu(struct kvm_vcpu *vcpu,
					       struct dentry *dir)
{
}

static __always_inline void kvm_exit_stats_vmentry(struct kvm_vcpu *vcpu)
{
}

static __always_inline void kvm_exit_stats_vmexit(struct kvm_vcpu *vcpu,
						  unsigned int slot,
						  bool failed_entry)
{
}

#endif /* CONFIG_KVM_EXIT_STATS */

#endif /* __KVM_X86_EXIT_STATS_H */
