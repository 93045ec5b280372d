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
	/*
	 * The first exit number above all that the architecture defines, but
	 * for SVM's negative ones.
	 */
	u32 nr_end;
	/*
	 * The slot of an exit number, -ENOENT if the architecture does not
	 * define it, or -ENODATA if it does but KVM never sees it.
	 */
	int (*nr_to_slot)(u32 nr);
	/* The exit number of a slot, or -ENOENT if no number has that slot. */
	int (*slot_to_nr)(unsigned int slot, u32 *nr);
	/* The kernel's own table of names, VMX_EXIT_REASONS or its like. */
	const struct trace_print_flags *names;
	unsigned int nr_names;
};

#ifdef CONFIG_KVM_EXIT_STATS

/*
 * Histograms of the time of one exit, by powers of two: bucket 0 is for less
 * than 2^KVM_EXIT_BUCKET_SHIFT cycles, each further one for twice as much as
 * the one before, and the last has no upper limit.
 */
#define KVM_EXIT_BUCKET_SHIFT	8
#define KVM_EXIT_BUCKETS	24

/*
 * With KVM_EXIT_SLOTS rows the histograms of a vCPU would take 55 KiB, and most
 * slots never are used.  Slots are given rows as they are first seen; the last
 * to come share row 0 with KVM_EXIT_SLOT_OTHER.
 */
#define KVM_EXIT_ROWS		60

enum kvm_exit_time {
	/* the handle phase */
	KVM_EXIT_TIME_HANDLE,
	/* from exit to entry, less the wait phase */
	KVM_EXIT_TIME_TOTAL,
	KVM_EXIT_TIMES
};

/* The histograms of one vCPU or of one CPU. */
struct kvm_exit_hist {
	u64 exits[KVM_EXIT_TIMES][KVM_EXIT_ROWS * KVM_EXIT_BUCKETS];
	u64 max[KVM_EXIT_TIMES][KVM_EXIT_ROWS];
	/* Whatever takes longer is for the slow path.  Of a vCPU only. */
	u32 limit[KVM_EXIT_SLOTS];
};

#define KVM_EXIT_STAMP_SLOW	(~0ull)

/* The bucket of a time in TSC cycles. */
static __always_inline unsigned int kvm_exit_bucket(u64 cycles)
{
	unsigned int bucket = fls64(cycles >> KVM_EXIT_BUCKET_SHIFT);

	return bucket < KVM_EXIT_BUCKETS ? bucket : KVM_EXIT_BUCKETS - 1;
}

DECLARE_STATIC_KEY_TRUE(kvm_exit_stats_key);
DECLARE_STATIC_KEY_TRUE(kvm_exit_hist_key);
extern struct kvm_exit_counts __percpu *kvm_exit_counts_cpu;
extern struct kvm_exit_hist __percpu *kvm_exit_hist_cpu;
extern u16 kvm_exit_hist_base[KVM_EXIT_SLOTS];

const struct kvm_exit_isa *kvm_exit_isa(void);

int kvm_exit_stats_init(void);
void kvm_exit_stats_exit(void);

int kvm_exit_stats_vcpu_create(struct kvm_vcpu *vcpu);
void kvm_exit_stats_vcpu_destroy(struct kvm_vcpu *vcpu);

void __kvm_exit_stats_vmentry(struct kvm_vcpu *vcpu, u64 now);
void __kvm_exit_stats_vmexit(struct kvm_vcpu *vcpu, unsigned int slot, u64 now);
void __kvm_exit_phase_end(struct kvm_vcpu *vcpu, enum kvm_exit_column column);
void __kvm_exit_preempt_end(struct kvm_vcpu *vcpu);

bool kvm_exit_stats_cpuid(struct kvm_vcpu *vcpu, u32 function, u32 index,
			  u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);

void kvm_exit_stats_debugfs_host(struct dentry *dir);
void kvm_exit_stats_debugfs_vm(struct kvm *kvm);
void kvm_exit_stats_debugfs_vcpu(struct kvm_vcpu *vcpu, struct dentry *dir);

void kvm_exit_stats_vendor_init(void);
void kvm_exit_stats_vendor_exit(void);

/* Slots are unsigned long here, which spares instructions that widen them. */
static __always_inline void kvm_exit_count(struct kvm_vcpu *vcpu,
					   enum kvm_exit_column column,
					   unsigned long slot, u64 n)
{
	vcpu->stat.exit_counts.slots[column][slot] += n;
	this_cpu_add(kvm_exit_counts_cpu->slots[column][slot], n);
}

/*
 * Put an undivided exit into the histograms.  False if that is for the slow
 * path: the longest so far, and so the first of its slot, too.
 */
static __always_inline bool kvm_exit_hist_count(struct kvm_vcpu *vcpu,
						unsigned long slot, u64 cycles)
{
	struct kvm_exit_hist __percpu *cpu = kvm_exit_hist_cpu;
	struct kvm_exit_hist *hist = vcpu->exit_clock.hist;
	unsigned long i;

	if (unlikely(cycles > hist->limit[slot]))
		return false;

	/* The limit is in the last bucket, so there is nothing to cut off. */
	i = kvm_exit_hist_base[slot] +
	    (unsigned long)fls64(cycles >> KVM_EXIT_BUCKET_SHIFT);
	hist->exits[KVM_EXIT_TIME_HANDLE][i]++;
	hist->exits[KVM_EXIT_TIME_TOTAL][i]++;
	this_cpu_inc(cpu->exits[KVM_EXIT_TIME_HANDLE][i]);
	this_cpu_inc(cpu->exits[KVM_EXIT_TIME_TOTAL][i]);
	return true;
}

/* Call with interrupts off, as near as possible before VM-entry. */
static __always_inline void kvm_exit_stats_vmentry(struct kvm_vcpu *vcpu)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;
	unsigned long slot = clock->slot;
	u64 now, cycles;

	if (!static_branch_likely(&kvm_exit_stats_key))
		return;

	now = rdtsc();
	if (unlikely(__builtin_sub_overflow(now, clock->stamp, &cycles)))
		goto slow;

	if (static_branch_likely(&kvm_exit_hist_key) &&
	    !kvm_exit_hist_count(vcpu, slot, cycles))
		goto slow;

	clock->stamp = now;
	kvm_exit_count(vcpu, KVM_EXIT_HANDLE, slot, cycles);
	return;

slow:
	/* It is noinstr, which objtool cannot see in another module. */
	instrumentation_begin();
	__kvm_exit_stats_vmentry(vcpu, now);
	instrumentation_end();
}

/*
 * Call with interrupts off, as near as possible after VM-exit and before
 * anything can change whether the vCPU is in a nested guest.  A slot out of
 * range counts as KVM_EXIT_SLOT_OTHER.
 */
static __always_inline void kvm_exit_stats_vmexit(struct kvm_vcpu *vcpu,
						  unsigned long slot)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;
	struct kvm_exit_counts __percpu *cpu;
	u64 now, cycles;

	if (!static_branch_likely(&kvm_exit_stats_key))
		return;

	if (unlikely(slot >= KVM_EXIT_SLOTS))
		slot = KVM_EXIT_SLOT_OTHER;

	now = rdtsc();
	if (unlikely(__builtin_sub_overflow(now, clock->stamp, &cycles) ||
		     (vcpu->arch.hflags & HF_GUEST_MASK))) {
		instrumentation_begin();
		__kvm_exit_stats_vmexit(vcpu, slot, now);
		instrumentation_end();
		return;
	}

	clock->stamp = now;
	clock->slot = slot;

	cpu = kvm_exit_counts_cpu;
	vcpu->stat.exit_counts.guest_cycles += cycles;
	this_cpu_add(cpu->guest_cycles, cycles);
	vcpu->stat.exit_counts.slots[KVM_EXIT_EXITS][slot]++;
	this_cpu_inc(cpu->slots[KVM_EXIT_EXITS][slot]);
}

/* The VM-exit just counted was a failed VM-entry. */
static __always_inline void kvm_exit_stats_failed_entry(struct kvm_vcpu *vcpu)
{
	if (!static_branch_likely(&kvm_exit_stats_key))
		return;

	vcpu->stat.exit_counts.failed_entries++;
	this_cpu_inc(kvm_exit_counts_cpu->failed_entries);
}

/* The vCPU blocks. */
static __always_inline void kvm_exit_phase_begin(struct kvm_vcpu *vcpu)
{
	if (static_branch_likely(&kvm_exit_stats_key))
		vcpu->exit_clock.mark = rdtsc();
}

/*
 * KVM_RUN returns to userspace, just after vcpu_put(), which has read the TSC.
 * Two instructions are not worth a static key.
 */
static __always_inline void kvm_exit_user_begin(struct kvm_vcpu *vcpu)
{
	vcpu->exit_clock.mark = vcpu->arch.last_host_tsc;
}

/* It is handled again; @column says what it did since the begin. */
static __always_inline void kvm_exit_phase_end(struct kvm_vcpu *vcpu,
					       enum kvm_exit_column column)
{
	if (static_branch_likely(&kvm_exit_stats_key))
		__kvm_exit_phase_end(vcpu, column);
}

/* The vCPU is scheduled out while it could run.  Nests in the other phases. */
static __always_inline void kvm_exit_preempt_begin(struct kvm_vcpu *vcpu)
{
	if (static_branch_likely(&kvm_exit_stats_key))
		vcpu->exit_clock.preempt_mark = rdtsc();
}

/* The vCPU is on a CPU, perhaps again. */
static __always_inline void kvm_exit_preempt_end(struct kvm_vcpu *vcpu)
{
	if (static_branch_likely(&kvm_exit_stats_key) &&
	    vcpu->exit_clock.preempt_mark)
		__kvm_exit_preempt_end(vcpu);
}

#else /* !CONFIG_KVM_EXIT_STATS */

static inline int kvm_exit_stats_init(void)
{
	return 0;
}

static inline void kvm_exit_stats_exit(void)
{
}

static inline int kvm_exit_stats_vcpu_create(struct kvm_vcpu *vcpu)
{
	return 0;
}

static inline void kvm_exit_stats_vcpu_destroy(struct kvm_vcpu *vcpu)
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

static inline void kvm_exit_stats_vendor_init(void)
{
}

static inline void kvm_exit_stats_vendor_exit(void)
{
}

static __always_inline void kvm_exit_stats_vmentry(struct kvm_vcpu *vcpu)
{
}

static __always_inline void kvm_exit_phase_begin(struct kvm_vcpu *vcpu)
{
}

static __always_inline void kvm_exit_user_begin(struct kvm_vcpu *vcpu)
{
}

static __always_inline void kvm_exit_phase_end(struct kvm_vcpu *vcpu,
					       enum kvm_exit_column column)
{
}

static __always_inline void kvm_exit_preempt_begin(struct kvm_vcpu *vcpu)
{
}

static __always_inline void kvm_exit_preempt_end(struct kvm_vcpu *vcpu)
{
}

#endif /* CONFIG_KVM_EXIT_STATS */

#endif /* __KVM_X86_EXIT_STATS_H */
