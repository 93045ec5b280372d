// SPDX-License-Identifier: GPL-2.0
/*
 * Sets a counter of KVM's exit accounting, so that a test need not wait until
 * it has reached 2^32.  Write to the parameter preset:
 *
 *	FD COLUMN SLOT VALUE
 *
 * FD is the writer's own file descriptor of a vCPU, or -1 for the host's total
 * (then CPU 0 has all of it, and the other CPUs nothing); COLUMN is one of
 * enum kvm_exit_column.
 */
#include <linux/file.h>
#include <linux/module.h>

#include "x86.h"
#include "exit_stats.h"

static int preset_host(unsigned int column, unsigned int slot, u64 value)
{
	int cpu;

	for_each_possible_cpu(cpu)
		WRITE_ONCE(per_cpu_ptr(kvm_exit_counts_cpu, cpu)->slots[column][slot],
			   cpu ? 0 : value);
	return 0;
}

static int preset_vcpu(int fd, unsigned int column, unsigned int slot, u64 value)
{
	struct file *file = fget(fd);
	struct kvm_vcpu *vcpu;

	if (!file)
		return -EBADF;

	if (strncmp(file->f_path.dentry->d_name.name, "kvm-vcpu:", 9)) {
		fput(file);
		return -EINVAL;
	}

	vcpu = file->private_data;
	WRITE_ONCE(vcpu->stat.exit_counts.slots[column][slot], value);
	fput(file);
	return 0;
}

static int preset_set(const char *val, const struct kernel_param *kp)
{
	unsigned int column, slot;
	u64 value;
	int fd;

	if (sscanf(val, "%d %u %u %llu", &fd, &column, &slot, &value) != 4 ||
	    column >= KVM_EXIT_COLUMNS || slot >= KVM_EXIT_SLOTS)
		return -EINVAL;

	return fd < 0 ? preset_host(column, slot, value) :
			preset_vcpu(fd, column, slot, value);
}

static const struct kernel_param_ops preset_ops = { .set = preset_set };
module_param_cb(preset, &preset_ops, NULL, 0200);

MODULE_DESCRIPTION("Presets counters of KVM's exit accounting, for tests");
MODULE_LICENSE("GPL");
