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
 * that exit, and is split into phases (enum kvm_exit_phase).  Time is the
 * host's TSC.
 *
 * A clock per vCPU (struct kvm_exit_clock) remembers between exit and entry
 * which exit is pending and since when it is in its phase.  It is not per CPU,
 * because the vCPU's thread may migrate in between.  What it measured goes to
 * two places of the same type (struct kvm_exit_counts): the vCPU's own, written
 * by the vCPU's thread alone under vcpu->mutex, and this CPU's, written with
 * single this_cpu instructions.  So there are no locks and no atomics.  A VM is
 * the sum of its vCPUs and the host is the sum of its CPUs, both made when
 * somebody reads, and the host's totals lose nothing when a VM dies.
 *
 * The switch
 *
 * The module parameter exit_stats drives a static key, so that switched-off
 * accounting costs a NOP.  Sites are patched one after the other, and a clock
 * that was started before the switch went off must not be stopped after it came
 * on again.  So the switch also has an epoch: odd while on, and advanced only
 * while all sites are patched in.  A clock is valid in the epoch it was started
 * in.  Epoch 0 never is current, and is what a vCPU starts with: its first
 * VM-entry has no exit before it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/moduleparam.h>
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

DEFINE_STATIC_KEY_TRUE(kvm_exit_stats_key);
EXPORT_SYMBOL_GPL(kvm_exit_stats_key);

unsigned long kvm_exit_stats_epoch __read_mostly = 1;
EXPORT_SYMBOL_GPL(kvm_exit_stats_epoch);

struct kvm_exit_counts __percpu *kvm_exit_counts_cpu __read_mostly;
EXPORT_SYMBOL_GPL(kvm_exit_counts_cpu);

static bool kvm_exit_stats_on(void)
{
	return READ_ONCE(kvm_exit_stats_epoch) & 1;
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

	/* The epoch may only be odd while every site is patched in. */
	if (on)
		static_branch_enable(&kvm_exit_stats_key);
	WRITE_ONCE(kvm_exit_stats_epoch, kvm_exit_stats_epoch + 1);
	if (!on)
		static_branch_disable(&kvm_exit_stats_key);
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

int __init kvm_exit_stats_init(void)
{
	kvm_exit_counts_cpu = alloc_percpu(struct kvm_exit_counts);
	return kvm_exit_counts_cpu ? 0 : -ENOMEM;
}

void kvm_exit_stats_exit(void)
{
	free_percpu(kvm_exit_counts_cpu);
}

/*
 * Enter @phase of the pending exit.  Called where the vCPU blocks or goes to
 * userspace, which is slow anyway, so it needs no static key: a clock that is
 * not of the current epoch is left alone.
 */
void kvm_exit_clock_switch(struct kvm_vcpu *vcpu, enum kvm_exit_phase phase)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;

	if (clock->epoch != READ_ONCE(kvm_exit_stats_epoch))
		return;

	if (clock->phase == KVM_EXIT_PHASE_HANDLE)
		kvm_exit_clock_charge(vcpu);

	clock->phase = phase;
	clock->stamp = rdtsc();
}

static void kvm_exit_counts_add(struct kvm_exit_counts *sum,
				const struct kvm_exit_counts *counts)
{
	int i;

	for (i = 0; i < KVM_EXIT_SLOTS; i++) {
		sum->exits[i] += READ_ONCE(counts->exits[i]);
		sum->handle_cycles[i] += READ_ONCE(counts->handle_cycles[i]);
	}
	sum->failed_entries += READ_ONCE(counts->failed_entries);
	sum->clamped += READ_ONCE(counts->clamped);
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

static u64 kvm_exit_slot_read(const struct kvm_exit_counts *counts,
			      unsigned int slot, bool cycles)
{
	return cycles ? READ_ONCE(counts->handle_cycles[slot]) :
			READ_ONCE(counts->exits[slot]);
}

/* As kvm_exit_counts_sum(), of one slot: the CPUID path does not allocate. */
static u64 kvm_exit_slot_sum(struct kvm *kvm, unsigned int slot, bool cycles)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u64 sum = 0;
	int cpu;

	if (kvm) {
		kvm_for_each_vcpu(i, vcpu, kvm)
			sum += kvm_exit_slot_read(&vcpu->stat.exit_counts, slot,
						  cycles);
		return sum;
	}

	for_each_possible_cpu(cpu)
		sum += kvm_exit_slot_read(per_cpu_ptr(kvm_exit_counts_cpu, cpu),
					  slot, cycles);
	return sum;
}

static u64 kvm_exit_total(struct kvm *kvm, bool cycles)
{
	unsigned int slot;
	u64 sum = 0;

	for (slot = 0; slot < KVM_EXIT_SLOTS; slot++)
		sum += kvm_exit_slot_sum(kvm, slot, cycles);
	return sum;
}

static bool kvm_exit_is_leaf(u32 function)
{
	switch (function) {
	case KVM_EXIT_LEAF_SIGNATURE:
	case KVM_EXIT_LEAF_INFO:
	case KVM_EXIT_LEAF_CYCLES:
	case KVM_EXIT_LEAF_EXITS:
	case KVM_EXIT_LEAF_ALL_CYCLES:
	case KVM_EXIT_LEAF_ALL_EXITS:
		return true;
	}
	return false;
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
	const struct kvm_exit_isa *isa = kvm_x86_ops.exit_isa;
	const u32 *sigptr = (const u32 *)signature;
	int slot, scope = READ_ONCE(kvm_exit_cpuid_scope);
	struct kvm *kvm = vcpu->kvm;
	bool cycles;
	u64 value;

	if (!kvm_exit_is_leaf(function) || !isa || !kvm_exit_stats_on() ||
	    scope == KVM_EXIT_CPUID_OFF)
		return false;

	/* A leaf of which the VMM set any index is the VMM's. */
	if (kvm_find_cpuid_entry(vcpu, function))
		return false;

	if (READ_ONCE(kvm_exit_cpuid_cpl0) && kvm_x86_call(get_cpl)(vcpu))
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
		*eax = KVM_EXIT_STATS_ABI;
		*ebx = isa->nr_end;
		*ecx = (isa->is_svm ? KVM_EXIT_LEAF_SVM : 0) |
		       (kvm ? 0 : KVM_EXIT_LEAF_HOST);
		*edx = tsc_khz;
		break;
	case KVM_EXIT_LEAF_ALL_EXITS:
		value = kvm_exit_total(kvm, false);
		*eax = lower_32_bits(value);
		*ebx = upper_32_bits(value);
		break;
	case KVM_EXIT_LEAF_ALL_CYCLES:
		value = kvm_exit_total(kvm, true);
		*ebx = upper_32_bits(value);
		*ecx = lower_32_bits(value);
		break;
	default:
		slot = isa->nr_to_slot(index);
		if (slot < 0) {
			*edx = ~0u;
			break;
		}
		cycles = function == KVM_EXIT_LEAF_CYCLES;
		slot = array_index_nospec(slot, KVM_EXIT_SLOTS);
		value = kvm_exit_slot_sum(kvm, slot, cycles);
		*(cycles ? ecx : eax) = lower_32_bits(value);
		*ebx = upper_32_bits(value);
		break;
	}

	pr_debug("vcpu %d: cpuid leaf 0x%x exit number %u: eax 0x%x ebx 0x%x ecx 0x%x edx 0x%x\n",
		 vcpu->vcpu_id, function, index, *eax, *ebx, *ecx, *edx);
	return true;
}

static void kvm_exit_stats_row(struct seq_file *m, const char *reason,
			       const char *name, u64 exits, u64 handle_cycles)
{
	seq_printf(m, "%6s %-32s %20llu %20llu\n", reason, name, exits,
		   handle_cycles);
}

static const char *kvm_exit_name(const struct kvm_exit_isa *isa, u32 nr,
				 char *buf, size_t size)
{
	unsigned int i;

	for (i = 0; i < isa->nr_names; i++) {
		if (isa->names[i].mask == nr)
			return isa->names[i].name;
	}

	snprintf(buf, size, "UNKNOWN_%u", nr);
	return buf;
}

static void kvm_exit_stats_print(struct seq_file *m, const char *scope,
				 const struct kvm_exit_counts *counts)
{
	const struct kvm_exit_isa *isa = kvm_x86_ops.exit_isa;
	u64 exits = 0, handle_cycles = 0;
	char number[12], name[24];
	unsigned int slot;

	seq_printf(m, "exit_stats version=%d isa=%s tsc_khz=%u scope=%s enabled=%d failed_entries=%llu clamped=%llu\n",
		   KVM_EXIT_STATS_FORMAT, isa->name, tsc_khz, scope,
		   kvm_exit_stats_on(), counts->failed_entries,
		   counts->clamped);
	seq_printf(m, "%6s %-32s %20s %20s\n", "reason", "name", "exits",
		   "handle_cycles");

	for (slot = 0; slot < KVM_EXIT_SLOTS; slot++) {
		u32 nr;

		exits += counts->exits[slot];
		handle_cycles += counts->handle_cycles[slot];

		if (!counts->exits[slot] && !counts->handle_cycles[slot])
			continue;

		if (slot == KVM_EXIT_SLOT_OTHER) {
			kvm_exit_stats_row(m, "-", "OTHER", counts->exits[slot],
					   counts->handle_cycles[slot]);
			continue;
		}

		nr = isa->slot_to_nr(slot);
		snprintf(number, sizeof(number), "%u", nr);
		kvm_exit_stats_row(m, number,
				   kvm_exit_name(isa, nr, name, sizeof(name)),
				   counts->exits[slot],
				   counts->handle_cycles[slot]);
	}

	kvm_exit_stats_row(m, "-", "TOTAL", exits, handle_cycles);
}

static int kvm_exit_stats_show_sum(struct seq_file *m, const char *scope,
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

static int kvm_exit_stats_host_show(struct seq_file *m, void *unused)
{
	return kvm_exit_stats_show_sum(m, "host", NULL, NULL);
}
DEFINE_SHOW_ATTRIBUTE(kvm_exit_stats_host);

static int kvm_exit_stats_vm_show(struct seq_file *m, void *unused)
{
	return kvm_exit_stats_show_sum(m, "vm", m->private, NULL);
}

static int kvm_exit_stats_vcpu_show(struct seq_file *m, void *unused)
{
	return kvm_exit_stats_show_sum(m, "vcpu", NULL, m->private);
}

static int kvm_exit_stats_open(struct file *file, struct kvm *kvm,
			       int (*show)(struct seq_file *m, void *unused),
			       void *data)
{
	int r;

	if (!kvm_get_kvm_safe(kvm))
		return -ENOENT;

	r = single_open(file, show, data);
	if (r)
		kvm_put_kvm(kvm);
	return r;
}

static int kvm_exit_stats_vm_open(struct inode *inode, struct file *file)
{
	struct kvm *kvm = inode->i_private;

	return kvm_exit_stats_open(file, kvm, kvm_exit_stats_vm_show, kvm);
}

static int kvm_exit_stats_vm_release(struct inode *inode, struct file *file)
{
	kvm_put_kvm(inode->i_private);
	return single_release(inode, file);
}

static int kvm_exit_stats_vcpu_open(struct inode *inode, struct file *file)
{
	struct kvm_vcpu *vcpu = inode->i_private;

	return kvm_exit_stats_open(file, vcpu->kvm, kvm_exit_stats_vcpu_show,
				   vcpu);
}

static int kvm_exit_stats_vcpu_release(struct inode *inode, struct file *file)
{
	struct kvm_vcpu *vcpu = inode->i_private;

	kvm_put_kvm(vcpu->kvm);
	return single_release(inode, file);
}

static const struct file_operations kvm_exit_stats_vm_fops = {
	.owner = THIS_MODULE,
	.open = kvm_exit_stats_vm_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = kvm_exit_stats_vm_release,
};

static const struct file_operations kvm_exit_stats_vcpu_fops = {
	.owner = THIS_MODULE,
	.open = kvm_exit_stats_vcpu_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = kvm_exit_stats_vcpu_release,
};

static void kvm_exit_stats_create(struct dentry *dir, void *data,
				  const struct file_operations *fops)
{
	/* Mode 0444: lockdown refuses debugfs files with a write bit. */
	if (kvm_x86_ops.exit_isa)
		debugfs_create_file("exit_stats", 0444, dir, data, fops);
}

void kvm_exit_stats_debugfs_host(struct dentry *dir)
{
	kvm_exit_stats_create(dir, NULL, &kvm_exit_stats_host_fops);
}

void kvm_exit_stats_debugfs_vm(struct kvm *kvm)
{
	kvm_exit_stats_create(kvm->debugfs_dentry, kvm,
			      &kvm_exit_stats_vm_fops);
}

void kvm_exit_stats_debugfs_vcpu(struct kvm_vcpu *vcpu, struct dentry *dir)
{
	kvm_exit_stats_create(dir, vcpu, &kvm_exit_stats_vcpu_fops);
}
