// SPDX-License-Identifier: GPL-2.0
/*
 * Exit accounting: how often and for how long a vCPU left its guest, and why
 *
 * Model
 *
 * A VM-exit is one return of the processor from guest to KVM.  Each one is
 * counted once, under its exit reason, be it handled by the fastpath, by KVM or
 * by userspace, so that at any quiet moment, for each vCPU,
 *
 *	sum over reasons of exits == vcpu->stat.exits
 *
 * holds.  From that VM-exit to the vCPU's next VM-entry all time belongs to
 * that exit, and is split into phases: handle, user, wait and preempted, see
 * enum kvm_exit_column.  Time is the host's TSC, and from the first VM-entry to
 * the last one
 *
 *	guest + sum over reasons of all phases == elapsed TSC
 *
 * A clock per vCPU (struct kvm_exit_clock) remembers between exit and entry
 * which exit is pending and since when.  It is not per CPU, because the vCPU's
 * thread may migrate in between.  What it measured goes to two places of the
 * same type (struct kvm_exit_counts): the vCPU's own, written by the vCPU's
 * thread alone under vcpu->mutex, and this CPU's, written with single this_cpu
 * instructions.  So there are no locks and no atomics.  A VM is the sum of its
 * vCPUs and the host is the sum of its CPUs, both made when somebody reads, and
 * the host's totals lose nothing when a VM dies.
 *
 * Two time stamps do for an exit that KVM handles at once: what passes from
 * VM-exit to VM-entry is handle.  If the vCPU waited, went to userspace or was
 * preempted in between, then that phase was charged when it ended, and the
 * stamp of the VM-exit was moved ahead by as much.
 *
 * The switch
 *
 * The module parameter exit_stats drives a static key, so that switched-off
 * accounting costs a NOP.  A clock that was started before the switch went off
 * must not be stopped after it came on again, so all clocks are stopped before
 * the sites are patched in.  They may be written then: they are only ever
 * written with interrupts off and after a look at the key, and switching off has
 * waited for each CPU to take an interrupt.  A stopped clock is what a vCPU
 * starts with, too: its first VM-entry has no exit before it.
 *
 * The sites are patched one after the other.  kvm_exit_stats_running says that
 * all of them are in; a clock is started, and a phase ended, only then.  What
 * remains is that a vCPU which exits while its sites are being patched out may
 * have its last time in the guest charged as handle.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/kobject.h>
#include <linux/moduleparam.h>
#include <linux/random.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "x86.h"
#include "cpuid.h"
#include "exit_stats.h"

#define KVM_EXIT_STATS_FORMAT	1
#define KVM_EXIT_STATS_ABI	1

/* CPUID leaves, see Documentation/virt/kvm/x86/exit-stats.rst. */
#define KVM_EXIT_LEAF_SIGNATURE	0x4fffff00
#define KVM_EXIT_LEAF_INFO	0x4fffff01
#define KVM_EXIT_LEAF_CYCLES	0x4ffffffc
#define KVM_EXIT_LEAF_EXITS	0x4ffffffd
#define KVM_EXIT_LEAF_ALL_CYCLES	0x4ffffffe
#define KVM_EXIT_LEAF_ALL_EXITS	0x4fffffff

#define KVM_EXIT_LEAF_SVM	BIT(0)
#define KVM_EXIT_LEAF_HOST	BIT(1)
/* its index 1 has a generation */
#define KVM_EXIT_LEAF_GENERATION BIT(2)

static const char * const kvm_exit_columns[KVM_EXIT_COLUMNS] = {
	[KVM_EXIT_EXITS] = "exits",
	[KVM_EXIT_HANDLE] = "handle_cycles",
	[KVM_EXIT_USER] = "user_cycles",
	[KVM_EXIT_WAIT] = "wait_cycles",
	[KVM_EXIT_PREEMPTED] = "preempted_cycles",
	[KVM_EXIT_L2_EXITS] = "l2_exits",
	[KVM_EXIT_L2_HANDLE] = "l2_handle_cycles",
};

static const char * const kvm_exit_times[KVM_EXIT_TIMES] = {
	[KVM_EXIT_TIME_HANDLE] = "handle",
	[KVM_EXIT_TIME_TOTAL] = "total",
};

DEFINE_STATIC_KEY_TRUE(kvm_exit_stats_key);
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_exit_stats_key);

DEFINE_STATIC_KEY_TRUE(kvm_exit_hist_key);
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_exit_hist_key);

struct kvm_exit_counts __percpu *kvm_exit_counts_cpu __read_mostly;
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_exit_counts_cpu);

struct kvm_exit_hist __percpu *kvm_exit_hist_cpu __read_mostly;
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_exit_hist_cpu);

/* Where in kvm_exit_hist.handle[] the row of a slot begins. */
u16 kvm_exit_hist_base[KVM_EXIT_SLOTS] __read_mostly;
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_exit_hist_base);

/* Rows given away.  The first is for KVM_EXIT_SLOT_OTHER. */
static unsigned int kvm_exit_hist_rows = 1;
/* Slots that have got one, or for which somebody is about to take one. */
static unsigned long kvm_exit_hist_claimed[BITS_TO_LONGS(KVM_EXIT_SLOTS)];

/* Of this loading of the module, as that of a vCPU. */
static u64 kvm_exit_host_generation __ro_after_init;

/* What the vendor module told, or NULL if none is loaded. */
static const struct kvm_exit_isa *kvm_exit_vendor_isa;

const struct kvm_exit_isa *kvm_exit_isa(void)
{
	return kvm_exit_vendor_isa;
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_exit_isa);

static bool kvm_exit_stats_running __read_mostly = true;

static __always_inline bool kvm_exit_stats_on(void)
{
	return READ_ONCE(kvm_exit_stats_running);
}

/*
 * @running is what says that it is stopped: kvm_exit_load(), interrupted while
 * the accounting is switched off and on, may still add to the stamp.
 */
static __always_inline void kvm_exit_clock_stop(struct kvm_exit_clock *clock)
{
	clock->stamp = KVM_EXIT_STAMP_SLOW;
	clock->user_mark = 0;
	clock->preempt_mark = 0;
	clock->lost = 0;
	clock->running = false;
	clock->l2 = false;
}

/* Only while the accounting is off. */
static void kvm_exit_clocks_stop(void)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	struct kvm *kvm;

	mutex_lock(&kvm_lock);
	list_for_each_entry(kvm, &vm_list, vm_list) {
		kvm_for_each_vcpu(i, vcpu, kvm)
			kvm_exit_clock_stop(&vcpu->exit_clock);
	}
	mutex_unlock(&kvm_lock);
}

static int kvm_exit_stats_bool(const char *val, const struct kernel_param *kp,
			       bool *on)
{
	int r = kstrtobool(val, on);

	if (r)
		pr_err("%s: '%.*s' is not a switch, use 0 or 1\n", kp->name,
		       (int)strcspn(val, "\n"), val);
	return r;
}

static int kvm_exit_stats_switch_set(const char *val,
				     const struct kernel_param *kp)
{
	bool on;
	int r = kvm_exit_stats_bool(val, kp, &on);

	if (r || on == kvm_exit_stats_on())
		return r;

	if (on) {
		kvm_exit_clocks_stop();
		static_branch_enable(&kvm_exit_stats_key);
		WRITE_ONCE(kvm_exit_stats_running, true);
	} else {
		WRITE_ONCE(kvm_exit_stats_running, false);
		static_branch_disable(&kvm_exit_stats_key);
	}
	return 0;
}

static int kvm_exit_stats_switch_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%c\n", kvm_exit_stats_on() ? 'Y' : 'N');
}

static const struct kernel_param_ops kvm_exit_stats_switch_ops = {
	.set = kvm_exit_stats_switch_set,
	.get = kvm_exit_stats_switch_get,
};
module_param_cb(exit_stats, &kvm_exit_stats_switch_ops, NULL, 0644);
MODULE_PARM_DESC(exit_stats, "Count VM-exits and their cycles (default: 1)");

enum kvm_exit_cpuid_scope {
	KVM_EXIT_CPUID_OFF,
	KVM_EXIT_CPUID_VM,
	KVM_EXIT_CPUID_HOST,
};

static const char * const kvm_exit_cpuid_scopes[] = {
	[KVM_EXIT_CPUID_OFF] = "off",
	[KVM_EXIT_CPUID_VM] = "vm",
	[KVM_EXIT_CPUID_HOST] = "host",
};

static int kvm_exit_cpuid_scope __read_mostly = KVM_EXIT_CPUID_VM;

static int kvm_exit_cpuid_scope_set(const char *val,
				    const struct kernel_param *kp)
{
	int scope = sysfs_match_string(kvm_exit_cpuid_scopes, val);

	if (scope < 0) {
		pr_err("%s: '%.*s' is not a scope, use off, vm or host\n",
		       kp->name, (int)strcspn(val, "\n"), val);
		return scope;
	}

	WRITE_ONCE(kvm_exit_cpuid_scope, scope);
	return 0;
}

static int kvm_exit_cpuid_scope_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n",
			  kvm_exit_cpuid_scopes[kvm_exit_cpuid_scope]);
}

static const struct kernel_param_ops kvm_exit_cpuid_scope_ops = {
	.set = kvm_exit_cpuid_scope_set,
	.get = kvm_exit_cpuid_scope_get,
};
module_param_cb(exit_stats_cpuid, &kvm_exit_cpuid_scope_ops, NULL, 0644);
MODULE_PARM_DESC(exit_stats_cpuid, "Whose exits a guest may read through CPUID: off, vm or host (default: vm)");

static bool kvm_exit_cpuid_cpl0 __read_mostly;

static int kvm_exit_cpuid_cpl0_set(const char *val,
				   const struct kernel_param *kp)
{
	bool on;
	int r = kvm_exit_stats_bool(val, kp, &on);

	if (!r)
		WRITE_ONCE(kvm_exit_cpuid_cpl0, on);
	return r;
}

static const struct kernel_param_ops kvm_exit_cpuid_cpl0_ops = {
	.set = kvm_exit_cpuid_cpl0_set,
	.get = param_get_bool,
};
module_param_cb(exit_stats_cpuid_cpl0, &kvm_exit_cpuid_cpl0_ops,
		&kvm_exit_cpuid_cpl0, 0644);
MODULE_PARM_DESC(exit_stats_cpuid_cpl0, "Answer only a guest's kernel mode (default: 0)");

static bool kvm_exit_histograms = true;
module_param_named(exit_stats_histograms, kvm_exit_histograms, bool, 0444);
MODULE_PARM_DESC(exit_stats_histograms, "Keep histograms of the time of VM-exits (default: 1)");

int __init kvm_exit_stats_init(void)
{
	BUILD_BUG_ON(sizeof(struct kvm_exit_counts) +
		     sizeof(struct kvm_exit_clock) > SZ_8K);
	BUILD_BUG_ON(sizeof(struct kvm_exit_counts) +
		     sizeof(struct kvm_exit_clock) +
		     sizeof(struct kvm_exit_hist) > SZ_32K);
	BUILD_BUG_ON(sizeof(struct kvm_exit_counts) % sizeof(u64));

	kvm_exit_host_generation = get_random_u64();
	kvm_exit_counts_cpu = alloc_percpu(struct kvm_exit_counts);
	if (!kvm_exit_counts_cpu)
		return -ENOMEM;

	if (!kvm_exit_histograms) {
		static_branch_disable(&kvm_exit_hist_key);
		return 0;
	}

	kvm_exit_hist_cpu = alloc_percpu(struct kvm_exit_hist);
	if (!kvm_exit_hist_cpu) {
		free_percpu(kvm_exit_counts_cpu);
		return -ENOMEM;
	}
	return 0;
}

void kvm_exit_stats_exit(void)
{
	free_percpu(kvm_exit_hist_cpu);
	free_percpu(kvm_exit_counts_cpu);
}

int kvm_exit_stats_vcpu_create(struct kvm_vcpu *vcpu)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;

	kvm_exit_clock_stop(clock);
	clock->generation = get_random_u64();
	if (!kvm_exit_histograms)
		return 0;

	clock->hist = kvzalloc(sizeof(*clock->hist), GFP_KERNEL_ACCOUNT);
	return clock->hist ? 0 : -ENOMEM;
}

void kvm_exit_stats_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	kvfree(vcpu->exit_clock.hist);
}

/* TSC cycles from @since to @now. */
static __always_inline u64 kvm_exit_cycles(struct kvm_vcpu *vcpu, u64 now,
					   u64 since)
{
	if (likely(now >= since))
		return now - since;

	/* TSCs of two CPUs may differ, and a TSC may restart after suspend. */
	vcpu->stat.exit_counts.clamped++;
	this_cpu_inc(kvm_exit_counts_cpu->clamped);
	return 0;
}

/*
 * Find the row of a slot, or give it one of those that are left if it @may_take
 * one.  0 is OTHER's row.
 */
static __always_inline unsigned int kvm_exit_hist_row(unsigned int slot,
						      bool may_take)
{
	unsigned int row = READ_ONCE(kvm_exit_hist_base[slot]) / KVM_EXIT_BUCKETS;

	if (row || slot == KVM_EXIT_SLOT_OTHER || !may_take ||
	    READ_ONCE(kvm_exit_hist_rows) >= KVM_EXIT_ROWS)
		return row;

	/* Of CPUs that come at once one takes a row, and none is wasted. */
	if (arch_test_and_set_bit(slot, kvm_exit_hist_claimed))
		return READ_ONCE(kvm_exit_hist_base[slot]) / KVM_EXIT_BUCKETS;

	row = xadd(&kvm_exit_hist_rows, 1);
	if (row >= KVM_EXIT_ROWS)
		return 0;
	WRITE_ONCE(kvm_exit_hist_base[slot], row * KVM_EXIT_BUCKETS);
	return row;
}

/* The maxima of one time, and the limit of the fast path. */
static __always_inline void kvm_exit_hist_max(struct kvm_exit_hist *hist,
					      enum kvm_exit_time time,
					      unsigned int slot,
					      unsigned int row, u64 cycles)
{
	struct kvm_exit_hist *cpu = this_cpu_ptr(kvm_exit_hist_cpu);
	u32 *limit = &hist->limit[time][slot];

	hist->max[time][row] = max(hist->max[time][row], cycles);
	/* What is no maximum of a vCPU's is none of a CPU's. */
	cpu->max[time][row] = max(cpu->max[time][row], cycles);
	*limit = min_t(u64, max_t(u64, *limit, cycles), S32_MAX);
}

/* The histograms' slow path: the longest yet. */
static __always_inline void kvm_exit_hist_record(struct kvm_vcpu *vcpu,
						 unsigned int slot, u64 handle,
						 u64 total)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;
	struct kvm_exit_hist *hist = clock->hist;
	/*
	 * Rows are the host's.  What exits from a nested guest is up to the
	 * guest's hypervisor, which must not use them up.
	 */
	unsigned int row = kvm_exit_hist_row(slot, !clock->l2);
	unsigned long base = row * KVM_EXIT_BUCKETS, i;

	/* Or its next exit took the fast path, and the slot never got a row. */
	if (!row && READ_ONCE(kvm_exit_hist_rows) < KVM_EXIT_ROWS)
		slot = KVM_EXIT_SLOT_OTHER;

	kvm_exit_hist_max(hist, KVM_EXIT_TIME_HANDLE, slot, row, handle);
	kvm_exit_hist_max(hist, KVM_EXIT_TIME_TOTAL, slot, row, total);

	i = base + kvm_exit_bucket(min_t(u64, handle, S32_MAX));
	kvm_exit_hist_move(hist, i,
			   base + kvm_exit_bucket(min_t(u64, total, S32_MAX)));
	hist->handle[i]++;
	this_cpu_inc(kvm_exit_hist_cpu->handle[i]);
}

/* VM-entry, in all cases that are not the usual one. */
noinstr void __kvm_exit_stats_vmentry(struct kvm_vcpu *vcpu)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;
	u64 start = clock->stamp & ~KVM_EXIT_STAMP_SLOW, cycles;
	u64 now = rdtsc();

	if (!kvm_exit_stats_on()) {
		kvm_exit_clock_stop(clock);
		return;
	}

	clock->stamp = now;
	/* The next exit is one from a nested guest. */
	if (vcpu->arch.hflags & HF_GUEST_MASK)
		clock->stamp |= KVM_EXIT_STAMP_SLOW;
	if (!clock->running) {
		clock->lost = 0;
		clock->running = true;
		return;
	}

	cycles = kvm_exit_cycles(vcpu, now, start);
	kvm_exit_count(vcpu, KVM_EXIT_HANDLE, clock->slot, cycles);
	if (clock->l2)
		kvm_exit_count(vcpu, KVM_EXIT_L2_HANDLE, clock->slot, cycles);
	if (static_branch_likely(&kvm_exit_hist_key))
		kvm_exit_hist_record(vcpu, clock->slot, cycles,
				     cycles + clock->lost);
	clock->lost = 0;
	clock->l2 = false;
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(__kvm_exit_stats_vmentry);

/* VM-exit at TSC @now, in all cases that are not the usual one. */
noinstr void __kvm_exit_stats_vmexit(struct kvm_vcpu *vcpu, unsigned int slot,
				     u64 now)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;
	u64 cycles;

	if (!kvm_exit_stats_on()) {
		kvm_exit_clock_stop(clock);
		return;
	}

	/* Otherwise it was switched on while the guest ran. */
	if (clock->running) {
		cycles = kvm_exit_cycles(vcpu, now,
					 clock->stamp & ~KVM_EXIT_STAMP_SLOW);
		vcpu->stat.exit_counts.guest_cycles += cycles;
		this_cpu_add(kvm_exit_counts_cpu->guest_cycles, cycles);
	}

	clock->stamp = now;
	clock->slot = slot;
	clock->lost = 0;
	clock->running = true;
	kvm_exit_count(vcpu, KVM_EXIT_EXITS, slot, 1);

	if (vcpu->arch.hflags & HF_GUEST_MASK) {
		kvm_exit_count(vcpu, KVM_EXIT_L2_EXITS, slot, 1);
		clock->l2 = true;
		clock->stamp |= KVM_EXIT_STAMP_SLOW;
	}
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(__kvm_exit_stats_vmexit);

/*
 * Charge the time since @since to @column, and move all stamps ahead by as
 * much, so that nobody charges it again.  Interrupts are off.
 */
static void kvm_exit_phase_charge(struct kvm_vcpu *vcpu,
				  enum kvm_exit_column column, u64 since)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;
	u64 cycles;

	if (!clock->running)
		return;

	if (!kvm_exit_stats_on()) {
		kvm_exit_clock_stop(clock);
		return;
	}

	cycles = kvm_exit_cycles(vcpu, rdtsc(), since);
	kvm_exit_count(vcpu, column, clock->slot, cycles);
	clock->mark += cycles;
	clock->stamp += cycles;
	if (clock->user_mark)
		clock->user_mark += cycles;
	/* The handle phase alone is not the total any more. */
	if (column != KVM_EXIT_WAIT && static_branch_likely(&kvm_exit_hist_key))
		clock->lost += cycles;
}

/* TSC at the begin of the user phase. */
static u64 kvm_exit_user_since(struct kvm_vcpu *vcpu)
{
	return vcpu->exit_clock.user_mark ?: vcpu->arch.last_host_tsc;
}

/*
 * A wait or user phase ends.  The stamp was moved ahead already by @moved
 * cycles.
 */
void __kvm_exit_phase_end(struct kvm_vcpu *vcpu, enum kvm_exit_column column,
			  u64 moved)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;
	unsigned long flags;

	local_irq_save(flags);
	if (!static_branch_likely(&kvm_exit_stats_key) || !clock->running)
		goto out;

	clock->stamp -= moved;
	if (column == KVM_EXIT_USER) {
		kvm_exit_phase_charge(vcpu, column, kvm_exit_user_since(vcpu));
		clock->user_mark = 0;
	} else {
		kvm_exit_phase_charge(vcpu, column, clock->mark);
	}
out:
	local_irq_restore(flags);
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(__kvm_exit_phase_end);

/*
 * Another ioctl than KVM_RUN loads the vCPU, which belongs to what userspace
 * does, and will put it and so overwrite the begin of the user phase.
 */
void __kvm_exit_ioctl(struct kvm_vcpu *vcpu)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;
	unsigned long flags;

	local_irq_save(flags);
	if (static_branch_likely(&kvm_exit_stats_key) && clock->running) {
		clock->user_mark = kvm_exit_user_since(vcpu);
		clock->stamp |= KVM_EXIT_STAMP_SLOW;
	}
	local_irq_restore(flags);
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(__kvm_exit_ioctl);

void __kvm_exit_preempt_end(struct kvm_vcpu *vcpu)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;
	unsigned long flags;

	local_irq_save(flags);
	if (static_branch_likely(&kvm_exit_stats_key) && clock->preempt_mark) {
		kvm_exit_phase_charge(vcpu, KVM_EXIT_PREEMPTED,
				      clock->preempt_mark);
		clock->preempt_mark = 0;
	}
	local_irq_restore(flags);
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(__kvm_exit_preempt_end);

static void kvm_exit_counts_add(struct kvm_exit_counts *sum,
				const struct kvm_exit_counts *counts)
{
	const u64 *from = (const u64 *)counts;
	u64 *to = (u64 *)sum;
	int i;

	for (i = 0; i < sizeof(*sum) / sizeof(u64); i++)
		to[i] += READ_ONCE(from[i]);
}

/* Sum up @kvm, or the host if @kvm is NULL. */
static void kvm_exit_counts_sum(struct kvm_exit_counts *sum, struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int cpu;

	if (kvm) {
		kvm_for_each_vcpu(i, vcpu, kvm)
			kvm_exit_counts_add(sum, &vcpu->stat.exit_counts);
		return;
	}

	for_each_possible_cpu(cpu)
		kvm_exit_counts_add(sum, per_cpu_ptr(kvm_exit_counts_cpu, cpu));
}

/*
 * As kvm_exit_counts_sum(), but of one counter at @offset in the counts: the
 * CPUID path does not allocate.
 */
static u64 kvm_exit_counter_sum(struct kvm *kvm, size_t offset)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u64 sum = 0;
	int cpu;

	if (kvm) {
		kvm_for_each_vcpu(i, vcpu, kvm)
			sum += READ_ONCE(*(u64 *)((void *)&vcpu->stat.exit_counts +
						  offset));
		return sum;
	}

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*(u64 *)((void *)per_cpu_ptr(kvm_exit_counts_cpu,
							      cpu) + offset));
	return sum;
}

static u64 kvm_exit_slot_sum(struct kvm *kvm, enum kvm_exit_column column,
			     unsigned int slot)
{
	return kvm_exit_counter_sum(kvm, offsetof(struct kvm_exit_counts,
						  slots[column][slot]));
}

static u64 kvm_exit_column_sum(const struct kvm_exit_counts *counts,
			       enum kvm_exit_column column)
{
	unsigned int slot;
	u64 sum = 0;

	for (slot = 0; slot < KVM_EXIT_SLOTS; slot++)
		sum += READ_ONCE(counts->slots[column][slot]);
	return sum;
}

/* One vCPU after the other: a guest can have thousands of them. */
static u64 kvm_exit_total(struct kvm *kvm, enum kvm_exit_column column)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u64 sum = 0;
	int cpu;

	if (kvm) {
		kvm_for_each_vcpu(i, vcpu, kvm)
			sum += kvm_exit_column_sum(&vcpu->stat.exit_counts,
						   column);
		return sum;
	}

	for_each_possible_cpu(cpu)
		sum += kvm_exit_column_sum(per_cpu_ptr(kvm_exit_counts_cpu, cpu),
					   column);
	return sum;
}

/*
 * It changes when counters begin anew: a VM's when it is made again, as after a
 * migration or a restart of its VMM, the host's with the module.
 */
static u64 kvm_exit_generation_of(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu = kvm ? kvm_get_vcpu(kvm, 0) : NULL;

	return vcpu ? vcpu->exit_clock.generation : kvm_exit_host_generation;
}

/* Those between the known ones are all zeros. */
static bool kvm_exit_is_leaf(u32 function)
{
	return function >= KVM_EXIT_LEAF_SIGNATURE &&
	       function <= KVM_EXIT_LEAF_ALL_EXITS;
}

/*
 * Answer a guest's CPUID if it asks for a leaf of the exit accounting and may
 * be answered.  Otherwise leave the registers alone and return false, and the
 * guest sees what it would see without exit accounting.
 */
bool kvm_exit_stats_cpuid(struct kvm_vcpu *vcpu, u32 function, u32 index,
			  u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	static const char signature[12] = "KVMExitStats";
	const struct kvm_exit_isa *isa = kvm_exit_isa();
	const u32 *sigptr = (const u32 *)signature;
	int slot, scope = READ_ONCE(kvm_exit_cpuid_scope);
	struct kvm *kvm = vcpu->kvm;
	u64 value;

	if (!kvm_exit_is_leaf(function) || !isa || !kvm_exit_stats_on() ||
	    scope == KVM_EXIT_CPUID_OFF)
		return false;

	/* A leaf of which the VMM set any index is the VMM's. */
	if (kvm_find_cpuid_entry(vcpu, function))
		return false;

	/* Nobody tells the mode of a guest whose registers are encrypted. */
	if (READ_ONCE(kvm_exit_cpuid_cpl0) &&
	    (vcpu->arch.guest_state_protected || kvm_x86_call(get_cpl)(vcpu)))
		return false;

	if (scope == KVM_EXIT_CPUID_HOST)
		kvm = NULL;

	*eax = *ebx = *ecx = *edx = 0;

	switch (function) {
	case KVM_EXIT_LEAF_SIGNATURE:
		*eax = KVM_EXIT_LEAF_ALL_EXITS;
		*ebx = sigptr[0];
		*ecx = sigptr[1];
		*edx = sigptr[2];
		break;
	case KVM_EXIT_LEAF_INFO:
		if (index == 1) {
			value = kvm_exit_generation_of(kvm);
			*eax = lower_32_bits(value);
			*ebx = upper_32_bits(value);
			break;
		}
		*eax = KVM_EXIT_STATS_ABI;
		*ebx = isa->nr_end;
		*ecx = (isa->is_svm ? KVM_EXIT_LEAF_SVM : 0) |
		       (kvm ? 0 : KVM_EXIT_LEAF_HOST) |
		       KVM_EXIT_LEAF_GENERATION;
		*edx = tsc_khz;
		break;
	case KVM_EXIT_LEAF_ALL_EXITS:
		value = kvm_exit_total(kvm, KVM_EXIT_EXITS);
		*eax = lower_32_bits(value);
		*ebx = upper_32_bits(value);
		break;
	case KVM_EXIT_LEAF_ALL_CYCLES:
		value = kvm_exit_total(kvm, KVM_EXIT_HANDLE);
		*ebx = upper_32_bits(value);
		*ecx = lower_32_bits(value);
		break;
	case KVM_EXIT_LEAF_CYCLES:
	case KVM_EXIT_LEAF_EXITS:
		slot = isa->nr_to_slot(index);
		if (slot < 0) {
			*edx = slot == -ENOENT ? ~0u : 0;
			break;
		}
		slot = array_index_nospec(slot, KVM_EXIT_SLOTS);
		if (function == KVM_EXIT_LEAF_EXITS) {
			value = kvm_exit_slot_sum(kvm, KVM_EXIT_EXITS, slot);
			*eax = lower_32_bits(value);
		} else {
			value = kvm_exit_slot_sum(kvm, KVM_EXIT_HANDLE, slot);
			*ecx = lower_32_bits(value);
		}
		*ebx = upper_32_bits(value);
		break;
	}

	pr_debug("vcpu %d: cpuid leaf 0x%x exit number %u: eax 0x%x ebx 0x%x ecx 0x%x edx 0x%x\n",
		 vcpu->vcpu_id, function, index, *eax, *ebx, *ecx, *edx);
	return true;
}

/* The number and the name of a slot's exit reason, as the files show them. */
struct kvm_exit_label {
	char number[12];
	char name[32];
};

/* False if no exit reason has @slot. */
static bool kvm_exit_label(struct kvm_exit_label *label, unsigned int slot)
{
	const struct kvm_exit_isa *isa = kvm_exit_isa();
	unsigned int i;
	u32 nr;

	if (slot == KVM_EXIT_SLOT_OTHER) {
		strscpy(label->number, "-", sizeof(label->number));
		strscpy(label->name, "OTHER", sizeof(label->name));
		return true;
	}

	if (isa->slot_to_nr(slot, &nr))
		return false;

	snprintf(label->number, sizeof(label->number), "%u", nr);
	snprintf(label->name, sizeof(label->name), "UNKNOWN_%u", nr);
	for (i = 0; i < isa->nr_names; i++) {
		if ((u32)isa->names[i].mask != nr)
			continue;
		strscpy(label->name, isa->names[i].name, sizeof(label->name));
		/* A reader takes a blank for the end of a column. */
		strreplace(label->name, ' ', '_');
		break;
	}
	return true;
}

static void kvm_exit_stats_row(struct seq_file *m, const char *number,
			       const char *name, const u64 *values)
{
	int column;

	seq_printf(m, "%6s %-26s", number, name);
	for (column = 0; column < KVM_EXIT_COLUMNS; column++)
		seq_printf(m, " %16llu", values[column]);
	seq_putc(m, '\n');
}

static void kvm_exit_stats_print(struct seq_file *m, const char *scope,
				 const struct kvm_exit_counts *counts)
{
	u64 values[KVM_EXIT_COLUMNS], totals[KVM_EXIT_COLUMNS] = {};
	struct kvm_exit_label label;
	unsigned int slot;
	int column;

	seq_printf(m, "exit_stats version=%d isa=%s tsc_khz=%u scope=%s enabled=%d failed_entries=%llu clamped=%llu guest_cycles=%llu\n",
		   KVM_EXIT_STATS_FORMAT, kvm_exit_isa()->name, tsc_khz,
		   scope, kvm_exit_stats_on(), counts->failed_entries,
		   counts->clamped, counts->guest_cycles);
	seq_printf(m, "%6s %-26s", "reason", "name");
	for (column = 0; column < KVM_EXIT_COLUMNS; column++)
		seq_printf(m, " %16s", kvm_exit_columns[column]);
	seq_putc(m, '\n');

	for (slot = 0; slot < KVM_EXIT_SLOTS; slot++) {
		for (column = 0; column < KVM_EXIT_COLUMNS; column++) {
			values[column] = counts->slots[column][slot];
			totals[column] += values[column];
		}
		if (memchr_inv(values, 0, sizeof(values)) &&
		    kvm_exit_label(&label, slot))
			kvm_exit_stats_row(m, label.number, label.name, values);
	}

	kvm_exit_stats_row(m, "-", "TOTAL", totals);
}

static int kvm_exit_stats_show(struct seq_file *m, const char *scope,
			       struct kvm *kvm, struct kvm_vcpu *vcpu)
{
	struct kvm_exit_counts *sum __free(kfree) =
		kzalloc(sizeof(*sum), GFP_KERNEL);

	if (!sum)
		return -ENOMEM;

	/* Print a snapshot, so that the total is the sum of the rows. */
	if (vcpu)
		kvm_exit_counts_add(sum, &vcpu->stat.exit_counts);
	else
		kvm_exit_counts_sum(sum, kvm);

	kvm_exit_stats_print(m, scope, sum);
	return 0;
}

static void kvm_exit_hist_add(struct kvm_exit_hist *sum,
			      const struct kvm_exit_hist *hist)
{
	int time, i;

	for (i = 0; i < ARRAY_SIZE(sum->handle); i++) {
		sum->handle[i] += READ_ONCE(hist->handle[i]);
		sum->to_total[i] += READ_ONCE(hist->to_total[i]);
	}
	for (time = 0; time < KVM_EXIT_TIMES; time++) {
		for (i = 0; i < ARRAY_SIZE(sum->max[time]); i++)
			sum->max[time][i] = max(sum->max[time][i],
						READ_ONCE(hist->max[time][i]));
	}
}

static void kvm_exit_latency_rows(struct seq_file *m,
				  const struct kvm_exit_hist *hist,
				  unsigned int slot, int time)
{
	unsigned int base = READ_ONCE(kvm_exit_hist_base[slot]);
	struct kvm_exit_label label;
	char below[24];
	int bucket;

	if ((!base && slot != KVM_EXIT_SLOT_OTHER) ||
	    !kvm_exit_label(&label, slot))
		return;

	for (bucket = 0; bucket < KVM_EXIT_BUCKETS; bucket++) {
		u64 end = 1ull << (bucket + KVM_EXIT_BUCKET_SHIFT);
		s64 exits = hist->handle[base + bucket];

		if (time == KVM_EXIT_TIME_TOTAL)
			exits += hist->to_total[base + bucket];
		/* Negative for a moment, if it was read while it changed. */
		if (exits <= 0)
			continue;

		if (bucket == KVM_EXIT_BUCKETS - 1)
			strscpy(below, "-", sizeof(below));
		else
			snprintf(below, sizeof(below), "%llu", end);
		seq_printf(m, "%6s %-26s %-6s %16lld %16llu %11llu %12s\n",
			   label.number, label.name, kvm_exit_times[time],
			   exits, hist->max[time][base / KVM_EXIT_BUCKETS],
			   bucket ? end / 2 : 0, below);
	}
}

static int kvm_exit_latency_show(struct seq_file *m, const char *scope,
				 struct kvm *kvm, struct kvm_vcpu *vcpu)
{
	struct kvm_exit_hist *sum;
	unsigned int slot;
	unsigned long i;
	int cpu, time;

	sum = kvzalloc(sizeof(*sum), GFP_KERNEL);
	if (!sum)
		return -ENOMEM;

	if (vcpu) {
		kvm_exit_hist_add(sum, vcpu->exit_clock.hist);
	} else if (kvm) {
		kvm_for_each_vcpu(i, vcpu, kvm)
			kvm_exit_hist_add(sum, vcpu->exit_clock.hist);
	} else {
		for_each_possible_cpu(cpu)
			kvm_exit_hist_add(sum, per_cpu_ptr(kvm_exit_hist_cpu,
							   cpu));
	}

	seq_printf(m, "exit_latency version=%d isa=%s tsc_khz=%u scope=%s enabled=%d\n",
		   KVM_EXIT_STATS_FORMAT, kvm_exit_isa()->name, tsc_khz,
		   scope, kvm_exit_stats_on());
	seq_printf(m, "%6s %-26s %-6s %16s %16s %11s %12s\n", "reason", "name",
		   "time", "exits", "max_cycles", "from_cycles",
		   "below_cycles");

	for (slot = 0; slot < KVM_EXIT_SLOTS; slot++) {
		for (time = 0; time < KVM_EXIT_TIMES; time++)
			kvm_exit_latency_rows(m, sum, slot, time);
	}

	kvfree(sum);
	return 0;
}

/*
 * A file of a VM or of a vCPU, @data.  No reference to the VM is held while the
 * file is open: that could be the last one when the vendor module, without which
 * no VM can be destroyed, has gone.  None is needed, because debugfs waits for
 * who reads a file before it removes it, and kvm_destroy_vm() removes them first.
 */
#define KVM_EXIT_FILE(_name, _print, _scope, type, _kvm, _vcpu)		\
static int _name##_show(struct seq_file *m, void *unused)		\
{									\
	type *data = m->private;					\
									\
	return _print(m, _scope, _kvm, _vcpu);				\
}									\
DEFINE_SHOW_ATTRIBUTE(_name)

KVM_EXIT_FILE(kvm_exit_stats_vm, kvm_exit_stats_show, "vm",
	      struct kvm, data, NULL);
KVM_EXIT_FILE(kvm_exit_latency_vm, kvm_exit_latency_show, "vm",
	      struct kvm, data, NULL);
KVM_EXIT_FILE(kvm_exit_stats_vcpu, kvm_exit_stats_show, "vcpu",
	      struct kvm_vcpu, data->kvm, data);
KVM_EXIT_FILE(kvm_exit_latency_vcpu, kvm_exit_latency_show, "vcpu",
	      struct kvm_vcpu, data->kvm, data);

static int kvm_exit_stats_host_show(struct seq_file *m, void *unused)
{
	return kvm_exit_stats_show(m, "host", NULL, NULL);
}
DEFINE_SHOW_ATTRIBUTE(kvm_exit_stats_host);

static int kvm_exit_latency_host_show(struct seq_file *m, void *unused)
{
	return kvm_exit_latency_show(m, "host", NULL, NULL);
}
DEFINE_SHOW_ATTRIBUTE(kvm_exit_latency_host);

/*
 * A name of the directory of the host must not be one of a VM's: kvm_stat reads
 * such files of VMs as if each were a number.
 */
static void kvm_exit_stats_create(struct dentry *dir, void *data,
				  const char *scope,
				  const struct file_operations *stats,
				  const struct file_operations *latency)
{
	char name[24];

	if (!kvm_exit_isa())
		return;

	/* Mode 0444: lockdown refuses debugfs files with a write bit. */
	snprintf(name, sizeof(name), "%sexit_stats", scope);
	debugfs_create_file(name, 0444, dir, data, stats);
	if (!kvm_exit_histograms)
		return;
	snprintf(name, sizeof(name), "%sexit_latency", scope);
	debugfs_create_file(name, 0444, dir, data, latency);
}

void kvm_exit_stats_debugfs_host(struct dentry *dir)
{
	kvm_exit_stats_create(dir, NULL, "", &kvm_exit_stats_host_fops,
			      &kvm_exit_latency_host_fops);
}

void kvm_exit_stats_debugfs_vm(struct kvm *kvm)
{
	kvm_exit_stats_create(kvm->debugfs_dentry, kvm, "vm_",
			      &kvm_exit_stats_vm_fops, &kvm_exit_latency_vm_fops);
}

void kvm_exit_stats_debugfs_vcpu(struct kvm_vcpu *vcpu, struct dentry *dir)
{
	kvm_exit_stats_create(dir, vcpu, "vcpu_", &kvm_exit_stats_vcpu_fops,
			      &kvm_exit_latency_vcpu_fops);
}

/*
 * The host's totals in sysfs, see
 * Documentation/ABI/testing/sysfs-kernel-kvm-exit-stats.
 */
struct kvm_exit_reason_dir {
	struct kobject kobj;
	unsigned int slot;
};

static struct kobject *kvm_exit_kvm_dir;
static struct kobject *kvm_exit_stats_dir;
static struct kvm_exit_reason_dir *kvm_exit_reason_dirs[KVM_EXIT_SLOTS];

static unsigned int kvm_exit_dir_slot(struct kobject *kobj)
{
	return container_of(kobj, struct kvm_exit_reason_dir, kobj)->slot;
}

static ssize_t name_show(struct kobject *kobj, struct kobj_attribute *attr,
			 char *buf)
{
	struct kvm_exit_label label;

	if (!kvm_exit_label(&label, kvm_exit_dir_slot(kobj)))
		return -ENOENT;
	return sysfs_emit(buf, "%s\n", label.name);
}

static ssize_t slot_show(struct kobject *kobj, struct kobj_attribute *attr,
			 char *buf)
{
	return sysfs_emit(buf, "%u\n", kvm_exit_dir_slot(kobj));
}

static ssize_t kvm_exit_column_show(struct kobject *kobj,
				    struct kobj_attribute *attr, char *buf)
{
	int column = match_string(kvm_exit_columns, KVM_EXIT_COLUMNS,
				  attr->attr.name);

	if (column < 0)
		return column;
	return sysfs_emit(buf, "%llu\n",
			  kvm_exit_slot_sum(NULL, column,
					    kvm_exit_dir_slot(kobj)));
}

#define KVM_EXIT_ATTR(_name, _show) \
	static struct kobj_attribute _name##_attr = __ATTR(_name, 0400, _show, NULL)

KVM_EXIT_ATTR(name, name_show);
KVM_EXIT_ATTR(slot, slot_show);
KVM_EXIT_ATTR(exits, kvm_exit_column_show);
KVM_EXIT_ATTR(handle_cycles, kvm_exit_column_show);
KVM_EXIT_ATTR(user_cycles, kvm_exit_column_show);
KVM_EXIT_ATTR(wait_cycles, kvm_exit_column_show);
KVM_EXIT_ATTR(preempted_cycles, kvm_exit_column_show);
KVM_EXIT_ATTR(l2_exits, kvm_exit_column_show);
KVM_EXIT_ATTR(l2_handle_cycles, kvm_exit_column_show);

static struct attribute *kvm_exit_reason_attrs[] = {
	&name_attr.attr,
	&slot_attr.attr,
	&exits_attr.attr,
	&handle_cycles_attr.attr,
	&user_cycles_attr.attr,
	&wait_cycles_attr.attr,
	&preempted_cycles_attr.attr,
	&l2_exits_attr.attr,
	&l2_handle_cycles_attr.attr,
	NULL
};
ATTRIBUTE_GROUPS(kvm_exit_reason);

static void kvm_exit_reason_release(struct kobject *kobj)
{
	kfree(container_of(kobj, struct kvm_exit_reason_dir, kobj));
}

static const struct kobj_type kvm_exit_reason_type = {
	.release = kvm_exit_reason_release,
	.sysfs_ops = &kobj_sysfs_ops,
	.default_groups = kvm_exit_reason_groups,
};

static ssize_t version_show(struct kobject *kobj, struct kobj_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "%d\n", KVM_EXIT_STATS_FORMAT);
}

static ssize_t isa_show(struct kobject *kobj, struct kobj_attribute *attr,
			char *buf)
{
	return sysfs_emit(buf, "%s\n", kvm_exit_isa()->name);
}

static ssize_t tsc_khz_show(struct kobject *kobj, struct kobj_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "%u\n", tsc_khz);
}

static ssize_t enabled_show(struct kobject *kobj, struct kobj_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "%d\n", kvm_exit_stats_on());
}

#define KVM_EXIT_SCALAR(_name)						\
static ssize_t _name##_show(struct kobject *kobj,			\
			    struct kobj_attribute *attr, char *buf)	\
{									\
	size_t offset = offsetof(struct kvm_exit_counts, _name);	\
									\
	return sysfs_emit(buf, "%llu\n",				\
			  kvm_exit_counter_sum(NULL, offset));		\
}									\
KVM_EXIT_ATTR(_name, _name##_show)

KVM_EXIT_ATTR(version, version_show);
KVM_EXIT_ATTR(isa, isa_show);
KVM_EXIT_ATTR(tsc_khz, tsc_khz_show);
KVM_EXIT_ATTR(enabled, enabled_show);
KVM_EXIT_SCALAR(guest_cycles);
KVM_EXIT_SCALAR(failed_entries);
KVM_EXIT_SCALAR(clamped);

static const struct attribute *kvm_exit_stats_attrs[] = {
	&version_attr.attr,
	&isa_attr.attr,
	&tsc_khz_attr.attr,
	&enabled_attr.attr,
	&guest_cycles_attr.attr,
	&failed_entries_attr.attr,
	&clamped_attr.attr,
	NULL
};

static int kvm_exit_reason_dir_create(unsigned int slot)
{
	struct kvm_exit_label label;
	struct kvm_exit_reason_dir *dir;
	int r;

	if (!kvm_exit_label(&label, slot))
		return 0;

	dir = kzalloc(sizeof(*dir), GFP_KERNEL);
	if (!dir)
		return -ENOMEM;

	dir->slot = slot;
	r = kobject_init_and_add(&dir->kobj, &kvm_exit_reason_type,
				 kvm_exit_stats_dir, "reason-%s",
				 slot == KVM_EXIT_SLOT_OTHER ? "other" :
							       label.number);
	if (r)
		kobject_put(&dir->kobj);
	else
		kvm_exit_reason_dirs[slot] = dir;
	return r;
}

static void kvm_exit_stats_sysfs_remove(void)
{
	unsigned int slot;

	for (slot = 0; slot < KVM_EXIT_SLOTS; slot++) {
		if (kvm_exit_reason_dirs[slot])
			kobject_put(&kvm_exit_reason_dirs[slot]->kobj);
		kvm_exit_reason_dirs[slot] = NULL;
	}
	kobject_put(kvm_exit_stats_dir);
	kvm_exit_stats_dir = NULL;
	kobject_put(kvm_exit_kvm_dir);
	kvm_exit_kvm_dir = NULL;
}

/* KVM works without, so a failure only is told. */
static void kvm_exit_stats_sysfs_create(void)
{
	unsigned int slot;
	int r = -ENOMEM;

	kvm_exit_kvm_dir = kobject_create_and_add("kvm", kernel_kobj);
	if (!kvm_exit_kvm_dir)
		goto fail;

	kvm_exit_stats_dir = kobject_create_and_add("exit_stats",
						    kvm_exit_kvm_dir);
	if (!kvm_exit_stats_dir)
		goto fail;

	r = sysfs_create_files(kvm_exit_stats_dir, kvm_exit_stats_attrs);
	for (slot = 0; !r && slot < KVM_EXIT_SLOTS; slot++)
		r = kvm_exit_reason_dir_create(slot);
	if (!r)
		return;
fail:
	pr_warn("exit_stats: no totals in sysfs: %d\n", r);
	kvm_exit_stats_sysfs_remove();
}

/* Call when kvm_x86_ops are the vendor module's, and before its VMs. */
void kvm_exit_stats_vendor_init(void)
{
	kvm_exit_vendor_isa = kvm_x86_ops.exit_isa;
	if (kvm_exit_vendor_isa)
		kvm_exit_stats_sysfs_create();
}

void kvm_exit_stats_vendor_exit(void)
{
	if (kvm_exit_vendor_isa)
		kvm_exit_stats_sysfs_remove();
	kvm_exit_vendor_isa = NULL;
}
