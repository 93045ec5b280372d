/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_EXIT_STATS_H
#define __KVM_X86_EXIT_STATS_H

#include <linux/jump_label.h>
#include <linux/kvm_host.h>
#include <linux/percpu.h>
#include <linux/tracepoint-defs.h>

#include <asm/tsc.h>

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
#define KVM_EXIT_ROWS		58

enum kvm_exit_time {
	/* the handle phase */
	KVM_EXIT_TIME_HANDLE,
	/* from exit to entry, less the wait phase */
	KVM_EXIT_TIME_TOTAL,
	KVM_EXIT_TIMES
};

/* The histograms of one vCPU or of one CPU. */
struct kvm_exit_hist {
	/* exits by their handle time */
	u64 handle[KVM_EXIT_ROWS * KVM_EXIT_BUCKETS];
	/*
	 * What to add to @handle to have exits by their total time, which for
	 * most is the same.  May be negative.
	 */
	u64 to_total[KVM_EXIT_ROWS * KVM_EXIT_BUCKETS];
	u64 max[KVM_EXIT_TIMES][KVM_EXIT_ROWS];
	/* Whatever takes longer is for the slow path.  Of a vCPU only. */
	u32 limit[KVM_EXIT_TIMES][KVM_EXIT_SLOTS];
};

/*
 * Added to a clock's stamp it makes it later than any TSC, and negative.  It is
 * a stopped clock's whole stamp.
 */
#define KVM_EXIT_STAMP_SLOW	BIT_ULL(63)

/* The bucket of a time of less than 2^31 TSC cycles. */
static __always_inline unsigned long kvm_exit_bucket(u64 cycles)
{
	const u64 first = BIT_ULL(KVM_EXIT_BUCKET_SHIFT) - 1;

	return __fls(cycles | first) - (KVM_EXIT_BUCKET_SHIFT - 1);
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

void __kvm_exit_stats_vmentry(struct kvm_vcpu *vcpu);
void __kvm_exit_stats_vmexit(struct kvm_vcpu *vcpu, unsigned int slot, u64 now);
void __kvm_exit_phase_end(struct kvm_vcpu *vcpu, enum kvm_exit_column column,
			  u64 moved);
void __kvm_exit_preempt_end(struct kvm_vcpu *vcpu);
void __kvm_exit_ioctl(struct kvm_vcpu *vcpu);

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

/* It took long enough to go from bucket @i to bucket @j by its total time. */
static __always_inline void kvm_exit_hist_move(struct kvm_exit_hist *hist,
					       unsigned long i, unsigned long j)
{
	struct kvm_exit_hist __percpu *cpu = kvm_exit_hist_cpu;

	if (i == j)
		return;

	hist->to_total[i]--;
	hist->to_total[j]++;
	this_cpu_dec(cpu->to_total[i]);
	this_cpu_inc(cpu->to_total[j]);
}

/*
 * Put an exit that was handled in @cycles into the histograms.  False if that
 * is for the slow path: the longest so far, and so the first of its slot, too.
 */
static __always_inline bool kvm_exit_hist_count(struct kvm_vcpu *vcpu,
						unsigned long slot, u64 cycles)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;
	struct kvm_exit_hist *hist = clock->hist;
	unsigned long row, i;

	/* No limit is beyond the last bucket. */
	if (unlikely(cycles > hist->limit[KVM_EXIT_TIME_HANDLE][slot]))
		return false;

	row = kvm_exit_hist_base[slot];
	i = row + kvm_exit_bucket(cycles);

	if (unlikely(clock->lost)) {
		u64 total = cycles + clock->lost;

		if (unlikely(total > hist->limit[KVM_EXIT_TIME_TOTAL][slot]))
			return false;
		clock->lost = 0;
		kvm_exit_hist_move(hist, i, row + kvm_exit_bucket(total));
	}

	hist->handle[i]++;
	this_cpu_inc(kvm_exit_hist_cpu->handle[i]);
	return true;
}

/* Call with interrupts off, as near as possible before VM-entry. */
static __always_inline void kvm_exit_stats_vmentry(struct kvm_vcpu *vcpu)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;
	unsigned long slot;
	u64 now, cycles;

	if (!static_branch_likely(&kvm_exit_stats_key))
		return;

	slot = clock->slot;
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
	__kvm_exit_stats_vmentry(vcpu);
	instrumentation_end();
}

/*
 * Call if kvm_exit_stats_key is on, which is for the caller to look at before
 * it finds out the slot; with interrupts off, as near as possible after VM-exit
 * and before anything can change whether the vCPU is in a nested guest.  A slot
 * out of range counts as KVM_EXIT_SLOT_OTHER.
 */
static __always_inline void kvm_exit_stats_vmexit(struct kvm_vcpu *vcpu,
						  unsigned long slot)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;
	struct kvm_exit_counts __percpu *cpu;
	u64 now, cycles;

	if (unlikely(slot >= KVM_EXIT_SLOTS))
		slot = KVM_EXIT_SLOT_OTHER;

	now = rdtsc();
	if (unlikely(__builtin_sub_overflow(now, clock->stamp, &cycles))) {
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

/* The same VM-exit was a failed VM-entry. */
static __always_inline void kvm_exit_stats_failed_entry(struct kvm_vcpu *vcpu)
{
	vcpu->stat.exit_counts.failed_entries++;
	this_cpu_inc(kvm_exit_counts_cpu->failed_entries);
}

/* The vCPU blocks. */
static __always_inline void kvm_exit_wait_begin(struct kvm_vcpu *vcpu)
{
	if (!static_branch_likely(&kvm_exit_stats_key))
		return;

	/* Or the mark would be older than what is charged to the preemption. */
	preempt_disable();
	vcpu->exit_clock.mark = rdtsc();
	preempt_enable();
}

static __always_inline void kvm_exit_wait_end(struct kvm_vcpu *vcpu)
{
	if (static_branch_likely(&kvm_exit_stats_key))
		__kvm_exit_phase_end(vcpu, KVM_EXIT_WAIT, 0);
}

/* The vCPU is scheduled out while it could run.  Nests in the other phases. */
static __always_inline void kvm_exit_preempt_begin(struct kvm_vcpu *vcpu)
{
	if (static_branch_likely(&kvm_exit_stats_key))
		vcpu->exit_clock.preempt_mark = rdtsc();
}

/* The vCPU is scheduled in. */
static __always_inline void kvm_exit_sched_in(struct kvm_vcpu *vcpu)
{
	if (static_branch_likely(&kvm_exit_stats_key) &&
	    vcpu->exit_clock.preempt_mark)
		__kvm_exit_preempt_end(vcpu);
}

/*
 * An ioctl loads the vCPU.  If it is KVM_RUN, then the user phase ends, which
 * began when the vCPU was put.  Interrupts are on, which does not matter: see
 * kvm_exit_clock_stop().
 */
static __always_inline void kvm_exit_load(struct kvm_vcpu *vcpu)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;
	u64 cycles;

	if (!static_branch_likely(&kvm_exit_stats_key))
		return;

	if (unlikely(!vcpu->wants_to_run)) {
		__kvm_exit_ioctl(vcpu);
		return;
	}

	if (unlikely(__builtin_sub_overflow(rdtsc(), vcpu->arch.last_host_tsc,
					    &cycles))) {
		__kvm_exit_phase_end(vcpu, KVM_EXIT_USER, 0);
		return;
	}

	clock->stamp += cycles;
	if (unlikely((s64)clock->stamp < 0)) {
		__kvm_exit_phase_end(vcpu, KVM_EXIT_USER, cycles);
		return;
	}

	kvm_exit_count(vcpu, KVM_EXIT_USER, clock->slot, cycles);
	if (static_branch_likely(&kvm_exit_hist_key))
		clock->lost += cycles;
}

/* It was KVM_RUN with immediate_exit, which looks like another ioctl at first. */
static __always_inline void kvm_exit_immediate(struct kvm_vcpu *vcpu)
{
	__kvm_exit_phase_end(vcpu, KVM_EXIT_USER, 0);
}

/*
 * The vCPU enters a nested guest, once the pending exit has ended.  Interrupts
 * may be on, as in kvm_exit_load().
 */
static __always_inline void kvm_exit_enter_guest_mode(struct kvm_vcpu *vcpu)
{
	vcpu->exit_clock.stamp |= KVM_EXIT_STAMP_SLOW;
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

static __always_inline void kvm_exit_wait_begin(struct kvm_vcpu *vcpu)
{
}

static __always_inline void kvm_exit_wait_end(struct kvm_vcpu *vcpu)
{
}

static __always_inline void kvm_exit_preempt_begin(struct kvm_vcpu *vcpu)
{
}

static __always_inline void kvm_exit_sched_in(struct kvm_vcpu *vcpu)
{
}

static __always_inline void kvm_exit_load(struct kvm_vcpu *vcpu)
{
}

static __always_inline void kvm_exit_immediate(struct kvm_vcpu *vcpu)
{
}

static __always_inline void kvm_exit_enter_guest_mode(struct kvm_vcpu *vcpu)
{
}

#endif /* CONFIG_KVM_EXIT_STATS */

#endif /* __KVM_X86_EXIT_STATS_H */
