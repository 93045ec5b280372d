// SPDX-License-Identifier: GPL-2.0
/*
 * Counts the exits of all vCPUs on a kernel whose KVM does not, see bpf.c
 *
 * The state machine is that of the kernel's series: what ended between an exit
 * and the next entry is charged to its own column, and the exit's stamp moved
 * ahead by as much, so that all times add up to what has passed.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "source/bpf_kernel.h"
#include "source/bpf_rows.h"

#define NAME_WORDS (BPF_VM_NAME / 8)

struct timespec64 {
	long long tv_sec;
	long tv_nsec;
} KERNEL;

struct kvm {
	int userspace_pid;
	struct dentry *debugfs_dentry;
} KERNEL;

struct kvm_vcpu_stat {
	unsigned long long exits;
	unsigned long long guest_mode;
} KERNEL;

struct kvm_vcpu {
	struct kvm *kvm;
	int vcpu_id;
	bool wants_to_run;
	bool preempted;
	bool scheduled_out;
	struct kvm_vcpu_stat stat;
} KERNEL;

struct task_struct {
	unsigned int __state;
} KERNEL;

extern void *bpf_rdonly_cast(const void *obj,
			     unsigned int btf_id) __ksym __weak;

/* Set before loading. */
const volatile bool has_cast = false;
const volatile bool is_svm = false;
const volatile bool has_times = true;
const volatile bool has_histograms = false;
/* Rows are in a map of their own, because this kernel has none so large for .bss. */
const volatile bool rows_in_map = false;
const volatile unsigned long long nr_rows = 1;

/* Nothing is counted before all programs are attached. */
bool counting = false;
/* on_put and on_load are there */
bool has_phases = false;
/* enum count_level */
unsigned int level = 0;
/* all exits that KVM had counted before */
unsigned long long exits_before = 0;
/* when counting began, CLOCK_REALTIME, ns */
unsigned long long since = 0;
/* How often the programs ran that may be attached and never run. */
unsigned long long nr_puts = 0, nr_wakeups = 0, nr_destroyed = 0;
/* of the series of folds into the row of ended vCPUs: begun, and done */
unsigned long long folds_begun = 0, folds_done = 0;
unsigned long long nr_serials = 0, nr_shared = 0;
/* What the slot of an index is; 0 if it has none yet. */
unsigned int slots[BPF_INDICES] = {};
/* the index of a slot, and how many are taken */
unsigned int indices[BPF_SLOTS] = {};
unsigned int nr_slots = 0;
/* the row of the vCPU that ran last on a CPU */
unsigned int current_row[BPF_MAX_CPUS] = {};
/* The last one here, because it is cut to what is needed. */
struct bpf_row rows[BPF_MAX_ROWS] = {};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, unsigned int);
	__type(value, struct bpf_row);
} more_rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, unsigned int);
	__type(value, struct bpf_histograms);
} histograms SEC(".maps");

/* by the kernel's address of a vCPU */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, unsigned long long);
	__type(value, unsigned int);
} by_vcpu SEC(".maps");

/* rows that may be taken */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__type(value, unsigned int);
} free_rows SEC(".maps");

/*
 * What a program can rely on.  Each look at .rodata takes two instructions at each
 * exit, so the programs of usual kernels have it built in.
 */
struct abilities {
	bool cast;
	bool svm;
	bool times;
	bool histograms;
	bool in_map;
};

#define ANY_ABILITIES                                                     \
	((struct abilities){ has_cast, is_svm, has_times, has_histograms, \
			     rows_in_map })

/* 8 bytes of the kernel's memory, 0 if they cannot be read. */
static __always_inline unsigned long long load_word(unsigned long long address,
						    bool cast)
{
	unsigned long long word = 0;

	if (cast) {
		const struct timespec64 *at = bpf_rdonly_cast(
			(void *)address,
			bpf_core_type_id_kernel(struct timespec64));

		return at->tv_sec;
	}
	bpf_probe_read_kernel(&word, sizeof(word), (void *)address);
	return word;
}

static __always_inline unsigned long long read_word(unsigned long long address)
{
	return load_word(address, has_cast);
}

static __always_inline unsigned int read_reason(unsigned long long vcpu,
						struct abilities can)
{
	unsigned long long vmcb, offset;

	if (can.svm) {
		vmcb = load_word(vcpu + bpf_core_field_offset(struct vcpu_svm,
							      vmcb),
				 can.cast);
		return load_word(vmcb + bpf_core_field_offset(
						struct vmcb, control.exit_code),
				 can.cast);
	}
	if (bpf_core_field_exists(struct vcpu_vmx___vt, vt.exit_reason))
		offset = bpf_core_field_offset(struct vcpu_vmx___vt,
					       vt.exit_reason);
	else
		offset = bpf_core_field_offset(struct vcpu_vmx, exit_reason);
	return load_word(vcpu + offset, can.cast);
}

/* What stands for an exit number, or BPF_INDICES. */
static __always_inline unsigned int index_of(unsigned int reason, bool svm)
{
	/* Bit 31 of a VMX exit reason is a failed entry, 27 and 26 are SGX's. */
	if (!svm)
		reason &= 0xffff;
	if (reason < BPF_LOW)
		return reason;
	if (reason - BPF_HIGH_BASE < BPF_HIGH)
		return BPF_LOW + reason - BPF_HIGH_BASE;
	if (~reason < BPF_NEGATIVE)
		return BPF_LOW + BPF_HIGH + ~reason;
	return BPF_INDICES;
}

/* Give an index its slot: one of those who want to do it at once wins. */
static __noinline unsigned int take_slot(unsigned int index)
{
	unsigned int slot, old;

	if (index >= BPF_INDICES || nr_slots >= BPF_SLOTS - 1)
		return 0;
	slot = __sync_fetch_and_add(&nr_slots, 1) + 1;
	if (slot >= BPF_SLOTS)
		return 0;
	indices[slot & (BPF_SLOTS - 1)] = index;
	old = __sync_val_compare_and_swap(&slots[index], 0, slot);
	return old ? old : slot;
}

static __always_inline unsigned int slot_of(unsigned int reason, bool svm)
{
	unsigned int index = index_of(reason, svm);
	unsigned int slot;

	if (index >= BPF_INDICES)
		return 0;
	/* The verifier knows a mask better than the compiler's comparisons. */
	barrier_var(index);
	index &= BPF_INDICES - 1;
	slot = slots[index];
	return slot ? slot : take_slot(index);
}

/* A load has no offset for what is far inside, as in the struct kvm of 6.1. */
#define read_field(pointer, type, field)          \
	read_word((unsigned long long)(pointer) + \
		  bpf_core_field_offset(type, field))

static __always_inline void set_name(struct bpf_row *row, struct kvm *kvm)
{
	unsigned long long *name = (unsigned long long *)row->vm_name;
	unsigned long long dentry = 0, from = 0;
	int i;

	if (bpf_core_field_exists(struct kvm, debugfs_dentry))
		dentry = read_field(kvm, struct kvm, debugfs_dentry);
	if (dentry)
		from = read_field(dentry, struct dentry, d_name.name);
	for (i = 0; i < NAME_WORDS; i++)
		name[i] = from ? read_word(from + 8 * i) : 0;
	row->vm_name[BPF_VM_NAME - 1] = '\0';
}

/* NULL of a number that no row has. */
static __always_inline struct bpf_row *row_of(unsigned int number, bool in_map)
{
	unsigned long long at;

	if (in_map)
		return bpf_map_lookup_elem(&more_rows, &number);
	at = number;
	/* First it is compared, and then multiplied: else the verifier cannot know. */
	barrier_var(at);
	if (at >= nr_rows)
		return NULL;
	barrier_var(at);
	return &rows[at];
}

/* A vCPU that comes to this CPU, or that is new. */
static __noinline int find_row_slowly(struct kvm_vcpu *vcpu)
{
	unsigned long long key = (unsigned long long)vcpu;
	unsigned int *known, number = BPF_ROW_SHARED;
	struct bpf_row *row;

	/* No row has this number. */
	if (!vcpu || !counting)
		return -1;
	known = bpf_map_lookup_elem(&by_vcpu, &key);
	if (known)
		return *known;
	if (bpf_map_pop_elem(&free_rows, &number))
		number = BPF_ROW_SHARED;
	row = row_of(number, rows_in_map);
	if (!row || number == BPF_ROW_SHARED) {
		__sync_fetch_and_add(&nr_shared, 1);
		return BPF_ROW_SHARED;
	}
	row->vm = (unsigned long long)vcpu->kvm;
	row->serial = __sync_fetch_and_add(&nr_serials, 1) + 1;
	row->vcpu_id = vcpu->vcpu_id;
	row->pid = read_field(vcpu->kvm, struct kvm, userspace_pid);
	set_name(row, vcpu->kvm);
	row->stamp = 0;
	row->slot = BPF_NO_SLOT;
	row->preempted_at = row->user_at = row->preempted = row->extra = 0;
	row->number = number;
	row->first_exits = row->last_exits = vcpu->stat.exits;
	row->vcpu = key;
	bpf_map_update_elem(&by_vcpu, &key, &number, BPF_ANY);
	return number;
}

static __always_inline unsigned int *row_of_this_cpu(void)
{
	return &current_row[bpf_get_smp_processor_id() & (BPF_MAX_CPUS - 1)];
}

/* That of this vCPU, if it ran here before; or NULL. */
static __always_inline struct bpf_row *find_row(struct kvm_vcpu *vcpu,
						bool in_map)
{
	struct bpf_row *row = row_of(*row_of_this_cpu(), in_map);

	return row && row->vcpu == (unsigned long long)vcpu ? row : NULL;
}

/*
 * That of any vCPU.  The shared one has no vCPU and no times; NULL if nothing is
 * counted yet.
 */
static __noinline struct bpf_row *find_any_row(struct kvm_vcpu *vcpu)
{
	const unsigned int number = find_row_slowly(vcpu);

	*row_of_this_cpu() = number;
	return row_of(number, rows_in_map);
}

static __always_inline unsigned long long *counts_of(struct bpf_row *row)
{
	return row->counts[row->slot & (BPF_SLOTS - 1)];
}

static __always_inline bool is_handled(const struct bpf_row *row)
{
	return row->slot < BPF_SLOTS;
}

static __always_inline unsigned int slot_of_exit(struct kvm_vcpu *vcpu,
						 struct abilities can)
{
	return slot_of(read_reason((unsigned long long)vcpu, can), can.svm) &
	       (BPF_SLOTS - 1);
}

/* Several vCPUs may write this one. */
static __noinline int count_shared(struct kvm_vcpu *vcpu)
{
	struct bpf_row *row = row_of(BPF_ROW_SHARED, rows_in_map);
	unsigned int slot;

	if (!row || !vcpu)
		return 0;
	slot = slot_of_exit(vcpu, ANY_ABILITIES);
	__sync_fetch_and_add(&row->counts[slot][BPF_EXITS], 1);
	return 0;
}

static __always_inline int exited(struct kvm_vcpu *vcpu, struct abilities can)
{
	unsigned long long now, stamp, *counts;
	struct bpf_row *row;
	unsigned int slot;

	if (!vcpu)
		return 0;
	row = find_row(vcpu, can.in_map);
	if (!row) {
		row = find_any_row(vcpu);
		if (!row)
			return 0;
		if (!row->vcpu)
			return count_shared(vcpu);
	}
	if (can.times) {
		stamp = row->stamp;
		/* It entered before we came: what has an end is counted. */
		if (!stamp)
			return 0;
		now = bpf_ktime_get_ns();
		row->guest += now - stamp;
		row->stamp = now;
		row->preempted = 0;
		if (can.histograms)
			row->extra = 0;
	} else {
		/* KVM counts this one, too, before or after we are called. */
		row->last_exits = vcpu->stat.exits + 1;
	}
	slot = slot_of_exit(vcpu, can);
	if (can.times)
		row->slot = slot;
	counts = row->counts[slot];
	counts[BPF_EXITS]++;
	/* Unlike hflags, whose bits are other ones in 6.1. */
	if (vcpu->stat.guest_mode) {
		counts[BPF_L2_EXITS]++;
		row->l2 = 1;
	}
	return 0;
}

/* Those of kernels that can do all, by what the tool wants to know. */
#define EXIT_PROGRAM(name, svm, times, histograms)                            \
	SEC("tp_btf/kvm_exit")                                                \
	int BPF_PROG(name, struct kvm_vcpu *vcpu)                             \
	{                                                                     \
		return exited(vcpu, (struct abilities){ true, svm, times,     \
							histograms, false }); \
	}

EXIT_PROGRAM(on_vmx_exit_counts, false, false, false)
EXIT_PROGRAM(on_vmx_exit_times, false, true, false)
EXIT_PROGRAM(on_vmx_exit_histograms, false, true, true)
EXIT_PROGRAM(on_svm_exit_counts, true, false, false)
EXIT_PROGRAM(on_svm_exit_times, true, true, false)
EXIT_PROGRAM(on_svm_exit_histograms, true, true, true)

/* That of others. */
SEC("tp_btf/kvm_exit")
int BPF_PROG(on_exit, struct kvm_vcpu *vcpu)
{
	return exited(vcpu, ANY_ABILITIES);
}

/* The same before 5.16. */
SEC("tp_btf/kvm_exit")
int BPF_PROG(on_exit_with_reason, unsigned int reason, struct kvm_vcpu *vcpu)
{
	return exited(vcpu, ANY_ABILITIES);
}

/* The number of the highest bit: BPF cannot count leading zeros. */
#define LOG_OF_4(n) n, n, n, n
#define LOG_OF_16(n) LOG_OF_4(n), LOG_OF_4(n), LOG_OF_4(n), LOG_OF_4(n)
#define LOG_OF_64(n) LOG_OF_16(n), LOG_OF_16(n), LOG_OF_16(n), LOG_OF_16(n)
static const unsigned char log_of[256] = {
	0,
	0,
	1,
	1,
	LOG_OF_4(2),
	LOG_OF_4(3),
	LOG_OF_4(3),
	LOG_OF_16(4),
	LOG_OF_16(5),
	LOG_OF_16(5),
	LOG_OF_64(6),
	LOG_OF_64(7),
	LOG_OF_64(7),
};

/* The bucket of model/latency.h's bucket_of(). */
static __always_inline unsigned int bucket_of(unsigned long long time)
{
	/* The masks are for the verifier. */
	if (time < 1 << 15)
		return log_of[time >> 7 & 0xff];
	if (time < 1 << 23)
		return 8 + log_of[time >> 15 & 0xff];
	if (time < 1 << 30)
		return 16 + log_of[time >> 23 & 0xff];
	return BPF_BUCKETS - 1;
}

static __always_inline void put_time(struct bpf_histogram *histogram,
				     enum bpf_part part,
				     unsigned long long time)
{
	unsigned int bucket = bucket_of(time);

	if (time > histogram->max[part])
		histogram->max[part] = time;
	barrier_var(bucket);
	if (bucket < BPF_BUCKETS)
		histogram->exits[part][bucket]++;
}

static __always_inline void put_exit(const struct bpf_row *row,
				     unsigned long long handle)
{
	const unsigned int number = row->number;
	struct bpf_histograms *of = bpf_map_lookup_elem(&histograms, &number);
	struct bpf_histogram *histogram;

	if (!of)
		return;
	histogram = &of->slots[row->slot & (BPF_SLOTS - 1)];
	if (!row->extra) {
		put_time(histogram, BPF_BOTH, handle);
		return;
	}
	put_time(histogram, BPF_HANDLE_ONLY, handle);
	put_time(histogram, BPF_TOTAL_ONLY, handle + row->extra);
}

static __always_inline int entered(struct kvm_vcpu *vcpu, bool with_histograms,
				   bool in_map)
{
	unsigned long long now, handle, *counts;
	struct bpf_row *row;
	unsigned int slot;

	if (!vcpu)
		return 0;
	row = find_row(vcpu, in_map);
	if (!row) {
		row = find_any_row(vcpu);
		if (!row || !row->vcpu)
			return 0;
	}
	now = bpf_ktime_get_ns();
	slot = row->slot;
	if (slot < BPF_SLOTS) {
		counts = row->counts[slot];
		handle = now - row->stamp;
		counts[BPF_HANDLE] += handle;
		if (row->l2) {
			counts[BPF_L2_HANDLE] += handle;
			row->l2 = 0;
		}
		if (with_histograms)
			put_exit(row, handle);
		row->slot = BPF_NO_SLOT;
	} else if (!row->stamp) {
		row->first_exits = row->last_exits = vcpu->stat.exits;
	}
	row->stamp = now;
	return 0;
}

#define ENTRY_PROGRAM(name, histograms, in_map)           \
	SEC("tp_btf/kvm_entry")                           \
	int BPF_PROG(name, struct kvm_vcpu *vcpu)         \
	{                                                 \
		return entered(vcpu, histograms, in_map); \
	}

ENTRY_PROGRAM(on_entry_times, false, false)
ENTRY_PROGRAM(on_entry_histograms, true, false)
ENTRY_PROGRAM(on_entry, has_histograms, rows_in_map)

/* Charge what began at @from to a column, and not to the exit's handling. */
static __always_inline unsigned long long
charge(struct bpf_row *row, unsigned long long from, enum bpf_count count)
{
	unsigned long long now = bpf_ktime_get_ns(), time = now - from;

	if (!is_handled(row) || from < row->stamp)
		return 0;
	counts_of(row)[count] += time;
	if (count != BPF_WAIT)
		row->extra += time;
	row->stamp += time;
	return time;
}

static __always_inline bool sleeps(struct kvm_vcpu *vcpu)
{
	struct task_struct *task;

	if (bpf_core_field_exists(vcpu->scheduled_out))
		return vcpu->scheduled_out;
	task = (struct task_struct *)bpf_get_current_task_btf();
	return task->__state;
}

/* Kernels without this one: a put of another ioctl than KVM_RUN looks the same. */
static __always_inline bool wants_to_run(struct kvm_vcpu *vcpu)
{
	return !bpf_core_field_exists(vcpu->wants_to_run) || vcpu->wants_to_run;
}

SEC("fentry/kvm_arch_vcpu_put")
int BPF_PROG(on_put, struct kvm_vcpu *vcpu)
{
	struct bpf_row *row;

	row = find_row(vcpu, rows_in_map);
	if (!row)
		row = find_any_row(vcpu);
	if (!row)
		return 0;
	nr_puts++;
	if (!is_handled(row))
		return 0;
	/* All that it has seen is in there. */
	row->last_exits = vcpu->stat.exits;
	if (vcpu->preempted)
		row->preempted_at = bpf_ktime_get_ns();
	else if (!sleeps(vcpu) && wants_to_run(vcpu))
		row->user_at = bpf_ktime_get_ns();
	return 0;
}

SEC("fentry/kvm_arch_vcpu_load")
int BPF_PROG(on_load, struct kvm_vcpu *vcpu)
{
	struct bpf_row *row;

	row = find_row(vcpu, rows_in_map);
	if (!row)
		row = find_any_row(vcpu);
	if (!row)
		return 0;
	if (row->preempted_at) {
		if (!row->preempted)
			row->preempted_from = row->preempted_at;
		row->preempted += charge(row, row->preempted_at, BPF_PREEMPTED);
		row->preempted_at = 0;
	} else if (row->user_at && wants_to_run(vcpu)) {
		charge(row, row->user_at, BPF_USER);
		row->user_at = 0;
	}
	return 0;
}

/* The vCPU was blocked for @ns, polling included, and that is over. */
SEC("tp_btf/kvm_vcpu_wakeup")
int BPF_PROG(on_wakeup, unsigned long long ns)
{
	struct bpf_row *row = row_of(*row_of_this_cpu(), rows_in_map);
	unsigned long long from;

	if (!counting)
		return 0;
	nr_wakeups++;
	if (!row || !row->vcpu)
		return 0;
	from = bpf_ktime_get_ns() - ns;
	/* What it had to wait for a CPU meanwhile was charged already. */
	if (row->preempted && row->preempted_from >= from)
		from += row->preempted;
	charge(row, from, BPF_WAIT);
	return 0;
}

/* Add the histograms of a vCPU that ends to those of all that have. */
static __always_inline void fold_histograms(unsigned int taken)
{
	unsigned int ended = BPF_ROW_ENDED, s, p, b;
	struct bpf_histograms *from = bpf_map_lookup_elem(&histograms, &taken);
	struct bpf_histograms *to = bpf_map_lookup_elem(&histograms, &ended);

	if (!from || !to)
		return;
	for (s = 0; s < BPF_SLOTS; s++) {
		for (p = 0; p < BPF_PARTS; p++) {
			if (from->slots[s].max[p] > to->slots[s].max[p])
				to->slots[s].max[p] = from->slots[s].max[p];
			from->slots[s].max[p] = 0;
			for (b = 0; b < BPF_BUCKETS; b++) {
				__sync_fetch_and_add(
					&to->slots[s].exits[p][b],
					from->slots[s].exits[p][b]);
				from->slots[s].exits[p][b] = 0;
			}
		}
	}
}

SEC("fentry/kvm_arch_vcpu_destroy")
int BPF_PROG(on_destroy, struct kvm_vcpu *vcpu)
{
	unsigned int *number, ended = BPF_ROW_ENDED, taken, s, c;
	unsigned long long key = (unsigned long long)vcpu;
	struct bpf_row *row, *sum;

	number = bpf_map_lookup_elem(&by_vcpu, &key);
	if (!number)
		return 0;
	taken = *number;
	row = row_of(taken, rows_in_map);
	sum = row_of(ended, rows_in_map);
	if (!row || !sum || taken < BPF_ROW_FIRST)
		return 0;
	__sync_fetch_and_add(&nr_destroyed, 1);
	__sync_fetch_and_add(&folds_begun, 1);
	for (s = 0; s < BPF_SLOTS; s++) {
		for (c = 0; c < BPF_COUNTS; c++) {
			__sync_fetch_and_add(&sum->counts[s][c],
					     row->counts[s][c]);
			row->counts[s][c] = 0;
		}
	}
	if (has_histograms)
		fold_histograms(taken);
	__sync_fetch_and_add(&sum->guest, row->guest);
	__sync_fetch_and_add(&sum->last_exits,
			     row->last_exits - row->first_exits);
	row->guest = row->first_exits = row->last_exits = 0;
	row->vcpu = 0;
	__sync_fetch_and_add(&folds_done, 1);
	bpf_map_delete_elem(&by_vcpu, &key);
	bpf_map_push_elem(&free_rows, &taken, BPF_ANY);
	return 0;
}

/* bpf_ktime_get_ns() and the rest are for programs under the GPL. */
char LICENSE[] SEC("license") = "GPL";
