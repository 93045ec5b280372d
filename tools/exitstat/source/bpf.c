// SPDX-License-Identifier: GPL-2.0
/* Loads exits.bpf.c into the kernel, and reads what it counts. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <exits.skel.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/message.h"
#include "model/reasons.h"
#include "source/bpf.h"
#include "source/bpf_rows.h"
#include "source/vmname.h"

/* More vCPUs than that share a row: 3.8 KiB for each. */
#define MAX_ROWS 65536
#define MIN_ROWS 256
/* Two readings of it are not one if a vCPU ended meanwhile. */
#define MAX_TRIES 100

struct bpf_data {
	struct exits *skel;
	const struct bpf_row *rows;
	size_t nr_rows;
	const struct reason_table *reasons;
	/* the hooks of user and preempted, which a kernel may refuse */
	bool has_phases;
};

struct vendor {
	const char *module;
	const char *isa;
};

static const struct vendor vendors[] = {
	{ "kvm_intel", "vmx" },
	{ "kvm_amd", "svm" },
};

static bool exists(const char *sysfs, const char *dir, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/%s", sysfs, dir, name);
	return !access(path, F_OK);
}

/* That which is loaded, or built in, or NULL. */
static const struct vendor *find_vendor(const char *sysfs)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(vendors); i++) {
		if (exists(sysfs, "module", vendors[i].module))
			return &vendors[i];
	}
	return NULL;
}

/* What is built in has its types in the kernel's own BTF, and no state. */
static bool has_btf(const char *sysfs, const struct vendor *vendor)
{
	char dir[64];

	snprintf(dir, sizeof(dir), "module/%s", vendor->module);
	return exists(sysfs, "kernel/btf", vendor->module) ||
	       !exists(sysfs, dir, "initstate");
}

static bool is_admin(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	return !syscall(SYS_capget, &header, data) &&
	       data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective &
		       CAP_TO_MASK(CAP_SYS_ADMIN);
}

static bool is_locked_down(const char *sysfs)
{
	char path[PATH_MAX], *text;
	size_t len;
	bool locked;

	snprintf(path, sizeof(path), "%s/kernel/security/lockdown", sysfs);
	text = read_file(path, 4096, &len);
	locked = text && strstr(text, "[confidentiality]");
	free(text);
	return locked;
}

/* Why it cannot be, in a few words; NULL if nothing is known against it. */
static const char *find_trouble(const struct source_paths *paths)
{
	const struct vendor *vendor = find_vendor(paths->sysfs);

	if (!vendor)
		return "no KVM module is loaded";
	if (!exists(paths->sysfs, "kernel/btf", "vmlinux"))
		return "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)";
	if (!has_btf(paths->sysfs, vendor))
		return "KVM's modules were built without BTF";
	if (!is_admin())
		return "it needs root (CAP_SYS_ADMIN)";
	return NULL;
}

static unsigned int probe(const struct source_paths *paths, char *why,
			  size_t size)
{
	const char *trouble = find_trouble(paths);

	if (!trouble)
		return bpf_source.abilities;
	snprintf(why, size, "%s", trouble);
	return 0;
}

static int explain(const struct source_paths *paths)
{
	const char *trouble = find_trouble(paths);

	if (!is_admin())
		return fail(
			STATUS_ERROR,
			"counting exits on a kernel without exit accounting needs root (CAP_SYS_ADMIN)");
	return fail(
		STATUS_UNSUPPORTED,
		"exits cannot be counted by eBPF: %s; install KVM's modules with exit accounting instead",
		trouble);
}

/* What libbpf says first is why it failed. */
static char complaint[256];

static int keep_complaint(enum libbpf_print_level level, const char *format,
			  va_list args)
{
	if (level != LIBBPF_WARN || *complaint)
		return 0;
	vsnprintf(complaint, sizeof(complaint), format, args);
	complaint[strcspn(complaint, "\n")] = '\0';
	return 0;
}

/* How many vCPUs there are now, as far as debugfs tells. */
static size_t count_vcpus(const char *debugfs)
{
	char path[PATH_MAX], dir[PATH_MAX + NAME_MAX + 2];
	const struct dirent *vm, *entry;
	DIR *vms, *vcpus;
	size_t nr = 0;

	snprintf(path, sizeof(path), "%s/kvm", debugfs);
	vms = opendir(path);
	while (vms && (vm = readdir(vms))) {
		if (!is_vm_id(vm->d_name, false))
			continue;
		snprintf(dir, sizeof(dir), "%s/%s", path, vm->d_name);
		vcpus = opendir(dir);
		while (vcpus && (entry = readdir(vcpus)))
			nr += !strncmp(entry->d_name, "vcpu", 4);
		if (vcpus)
			closedir(vcpus);
	}
	if (vms)
		closedir(vms);
	return nr;
}

static size_t rows_for(size_t nr_vcpus)
{
	const size_t nr = BPF_ROW_FIRST + 2 * nr_vcpus;

	return nr < MIN_ROWS ? MIN_ROWS : nr > MAX_ROWS ? MAX_ROWS : nr;
}

static bool has_cast(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const bool has = btf && btf__find_by_name_kind(btf, "bpf_rdonly_cast",
						       BTF_KIND_FUNC) > 0;

	btf__free(btf);
	return has;
}

/* 0, or less than 0 and a complaint. */
static int load(struct bpf_data *data, const struct vendor *vendor, bool cast)
{
	struct exits *skel = exits__open();
	int error;

	if (!skel)
		return -errno;
	data->skel = skel;
	skel->rodata->has_cast = cast;
	skel->rodata->is_svm = !strcmp(vendor->isa, "svm");
	bpf_map__set_max_entries(skel->maps.rows, data->nr_rows);
	bpf_map__set_max_entries(skel->maps.by_vcpu, data->nr_rows);
	bpf_map__set_max_entries(skel->maps.free_rows, data->nr_rows);
	if (!data->has_phases) {
		bpf_program__set_autoload(skel->progs.on_put, false);
		bpf_program__set_autoload(skel->progs.on_load, false);
	}
	error = exits__load(skel);
	if (!error)
		error = exits__attach(skel);
	if (!error)
		return 0;
	exits__destroy(skel);
	data->skel = NULL;
	return error;
}

static bool fill_rows(struct bpf_data *data)
{
	const struct exits *skel = data->skel;
	void *rows;
	unsigned int i;

	rows = mmap(NULL, data->nr_rows * sizeof(*data->rows), PROT_READ,
		    MAP_SHARED, bpf_map__fd(skel->maps.rows), 0);
	if (rows == MAP_FAILED)
		return false;
	data->rows = rows;
	for (i = BPF_ROW_FIRST; i < data->nr_rows; i++) {
		if (bpf_map__update_elem(skel->maps.free_rows, NULL, 0, &i,
					 sizeof(i), 0))
			return false;
	}
	return true;
}

static void close_bpf(struct source *source)
{
	struct bpf_data *data = source->data;

	if (!data)
		return;
	if (data->rows)
		munmap((void *)data->rows, data->nr_rows * sizeof(*data->rows));
	exits__destroy(data->skel);
	free(data);
	source->data = NULL;
}

static int open_bpf(struct source *source)
{
	const struct source_paths *paths = &source->paths;
	const struct vendor *vendor = find_vendor(paths->sysfs);
	const bool cast = has_cast();
	struct bpf_data *data;
	int error;

	if (find_trouble(paths))
		return explain(paths);
	data = calloc(1, sizeof(*data));
	if (!data)
		return out_of_memory();
	source->data = data;
	data->nr_rows = rows_for(count_vcpus(paths->debugfs));
	data->reasons = reasons_of(vendor->isa);
	data->has_phases = true;

	libbpf_set_print(keep_complaint);
	error = load(data, vendor, cast);
	if (error) {
		/* Some kernels refuse all but tracepoints. */
		*complaint = '\0';
		data->has_phases = false;
		error = load(data, vendor, cast);
	}
	if (error && !cast && is_locked_down(paths->sysfs))
		return fail(
			STATUS_UNSUPPORTED,
			"kernel lockdown (confidentiality) forbids counting exits by eBPF on kernels before 6.2");
	if (error)
		return fail(STATUS_ERROR,
			    "exits cannot be counted by eBPF: %s (%s)",
			    strerror(-error), complaint);
	if (!fill_rows(data))
		return fail(STATUS_ERROR,
			    "the counters of eBPF cannot be read: %s",
			    strerror(errno));
	source->since = clock_now(CLOCK_REALTIME);
	data->skel->bss->counting = true;
	note("%s has no exit accounting: counting by eBPF from now on, for some 400 instructions an exit",
	     vendor->module);
	return STATUS_OK;
}

/* Exit numbers are made small in exits.bpf.c. */
static uint32_t reason_of(unsigned int index)
{
	if (index < BPF_LOW)
		return index;
	if (index < BPF_LOW + BPF_HIGH)
		return BPF_HIGH_BASE + index - BPF_LOW;
	return ~(index - BPF_LOW - BPF_HIGH);
}

static const enum exit_counter counters[BPF_COUNTS] = {
	[BPF_EXITS] = COUNT_EXITS,
	[BPF_HANDLE] = COUNT_HANDLE_CYCLES,
	[BPF_USER] = COUNT_USER_CYCLES,
	[BPF_WAIT] = COUNT_WAIT_CYCLES,
	[BPF_PREEMPTED] = COUNT_PREEMPTED_CYCLES,
	[BPF_L2_EXITS] = COUNT_L2_EXITS,
	[BPF_L2_HANDLE] = COUNT_L2_HANDLE_CYCLES,
};

static struct exit_row *row_of_slot(const struct bpf_data *data,
				    struct exit_snapshot *snap, size_t slot)
{
	const struct exits__bss *bss = data->skel->bss;
	const uint32_t reason = slot ? reason_of(bss->indices[slot]) : 0;
	struct exit_row *row = snapshot_find_row(snap, !slot, reason);

	if (row)
		return row;
	row = snapshot_add_row(snap);
	if (!row)
		return NULL;
	row->other = !slot;
	row->reason = reason;
	if (slot)
		reason_label(row->name, data->reasons, reason);
	else
		strcpy(row->name, "OTHER");
	snapshot_finish(snap);
	return snapshot_find_row(snap, !slot, reason);
}

/* Add a vCPU's counters to those of a scope.  False if memory runs out. */
static bool add_row(const struct bpf_data *data, struct exit_snapshot *snap,
		    const struct bpf_row *from)
{
	uint64_t seen = 0, all = from->last_exits - from->first_exits;
	struct exit_row *row;
	size_t slot, c;

	snap->guest_cycles += from->guest;
	for (slot = 0; slot < BPF_SLOTS; slot++) {
		const unsigned long long *counts = from->counts[slot];

		if (!counts[BPF_EXITS])
			continue;
		seen += counts[BPF_EXITS];
		row = row_of_slot(data, snap, slot);
		if (!row)
			return false;
		for (c = 0; c < BPF_COUNTS; c++)
			row->counts[counters[c]] += counts[c];
	}
	/* What KVM has counted and no tracepoint told. */
	if (all > seen) {
		row = row_of_slot(data, snap, 0);
		if (!row)
			return false;
		row->counts[COUNT_EXITS] += all - seen;
	}
	snapshot_finish(snap);
	return true;
}

static void init_snapshot(const struct bpf_data *data,
			  struct exit_snapshot *snap)
{
	const struct exits__bss *bss = data->skel->bss;
	size_t c;

	strcpy(snap->isa, data->reasons->isa);
	snap->clock.ns = true;
	snap->enabled = true;
	snap->has_guest_cycles = true;
	for (c = 0; c < NR_COUNTS; c++)
		snap->has[c] = true;
	/* What may be attached and never run does not make its column 0. */
	if (!data->has_phases || (bss->nr_serials && !bss->nr_puts))
		snap->has[COUNT_USER_CYCLES] =
			snap->has[COUNT_PREEMPTED_CYCLES] = false;
}

static struct exit_scope *add_scope(const struct bpf_data *data,
				    struct exit_scan *scan,
				    const struct exit_scope *who)
{
	struct exit_scope *scope = scan_add(scan);

	if (!scope)
		return NULL;
	*scope = *who;
	init_snapshot(data, &scope->snap);
	return scope;
}

static int read_host(const struct bpf_data *data, struct exit_scan *scan)
{
	static const struct exit_scope host = { .kind = SCOPE_HOST };
	struct exit_scope *scope = add_scope(data, scan, &host);
	size_t i;

	if (!scope)
		return out_of_memory();
	for (i = 0; i < data->nr_rows; i++) {
		if (i >= BPF_ROW_FIRST && !data->rows[i].vcpu)
			continue;
		if (!add_row(data, &scope->snap, &data->rows[i]))
			return out_of_memory();
	}
	return STATUS_OK;
}

/* By VM, and then in the order in which they came. */
static int compare_rows(const void *a, const void *b)
{
	const struct bpf_row *x = *(const struct bpf_row *const *)a;
	const struct bpf_row *y = *(const struct bpf_row *const *)b;

	if (x->vm != y->vm)
		return x->vm < y->vm ? -1 : 1;
	return (x->serial > y->serial) - (x->serial < y->serial);
}

/*
 * A VM is known by its first vCPU, and by when its process began.  False if that
 * has ended.
 */
static bool identify(struct exit_scope *vm, const struct bpf_row *first,
		     size_t nr_vcpus, const char *procfs)
{
	char pid[VM_ID_SIZE];

	*vm = (struct exit_scope){ .kind = SCOPE_VM, .nr_vcpus = nr_vcpus };
	memcpy(vm->vm, first->vm_name, sizeof(first->vm_name));
	vm->vm[sizeof(first->vm_name) - 1] = '\0';
	if (!is_vm_id(vm->vm, false))
		snprintf(vm->vm, sizeof(vm->vm), "%u-0", first->pid);
	snprintf(pid, sizeof(pid), "%.*s", (int)strcspn(vm->vm, "-"), vm->vm);
	vm->id[0] = first->serial;
	vm->id[1] = vm_start_time(procfs, pid);
	vm_name(procfs, pid, vm->name);
	return vm->id[1];
}

/* One VM, of which these are the vCPUs. */
static int read_vm(const struct bpf_data *data, struct exit_scan *scan,
		   const struct exit_selection *sel,
		   const struct bpf_row *const *vcpus, size_t nr,
		   struct exit_scope *vm)
{
	const bool details = !sel->details_of ||
			     !strcmp(sel->details_of, vm->vm);
	struct exit_scope *scope;
	size_t i;

	if (selection_has(sel, vm)) {
		scope = add_scope(data, scan, vm);
		for (i = 0; scope && i < nr; i++) {
			if (!add_row(data, &scope->snap, vcpus[i]))
				return out_of_memory();
		}
		if (!scope)
			return out_of_memory();
	}
	for (i = 0; details && i < nr; i++) {
		struct exit_scope vcpu = *vm;

		vcpu.kind = SCOPE_VCPU;
		vcpu.vcpu = vcpus[i]->vcpu_id;
		vcpu.nr_vcpus = 0;
		if (!selection_has(sel, &vcpu))
			continue;
		scope = add_scope(data, scan, &vcpu);
		if (!scope || !add_row(data, &scope->snap, vcpus[i]))
			return out_of_memory();
	}
	return STATUS_OK;
}

/* Complain of a VM that the user named and that is not among @vms. */
static int check_named(const struct exit_selection *sel,
		       const struct exit_scan *vms)
{
	const char *names[MAX_LISTED_VMS];
	size_t p, i;

	for (i = 0; i < vms->nr_scopes && i < MAX_LISTED_VMS; i++)
		names[i] = vms->scopes[i].vm;
	for (p = 0; p < sel->nr_vm_patterns; p++) {
		const char *pattern = sel->vm_patterns[p];

		for (i = 0; i < vms->nr_scopes; i++) {
			if (scope_matches(&vms->scopes[i], pattern))
				break;
		}
		if (i == vms->nr_scopes && !pattern_is_glob(pattern) &&
		    !sel->may_have_ended)
			return no_such_vm(sel, pattern, names, vms->nr_scopes);
	}
	return STATUS_OK;
}

static int read_vms(const struct source *source, struct exit_scan *scan,
		    const struct exit_selection *sel,
		    const struct bpf_row **vcpus, size_t nr)
{
	const struct bpf_data *data = source->data;
	struct exit_scan vms = {};
	struct exit_scope vm, *place;
	size_t i, end;
	int status = STATUS_OK;

	qsort(vcpus, nr, sizeof(*vcpus), compare_rows);
	for (i = 0; !status && i < nr; i = end) {
		for (end = i + 1; end < nr && vcpus[end]->vm == vcpus[i]->vm;)
			end++;
		if (!identify(&vm, vcpus[i], end - i, source->paths.procfs))
			continue;
		place = scan_add(&vms);
		if (place)
			*place = vm;
		status = place ? read_vm(data, scan, sel, &vcpus[i], end - i,
					 &vm) :
				 out_of_memory();
	}
	if (!status)
		status = check_named(sel, &vms);
	scan_free(&vms);
	return status;
}

static int read_all_vms(const struct source *source, struct exit_scan *scan,
			const struct exit_selection *sel)
{
	const struct bpf_data *data = source->data;
	const struct bpf_row **vcpus = calloc(data->nr_rows, sizeof(*vcpus));
	size_t i, nr = 0;
	int status;

	if (!vcpus)
		return out_of_memory();
	for (i = BPF_ROW_FIRST; i < data->nr_rows; i++) {
		if (data->rows[i].vcpu)
			vcpus[nr++] = &data->rows[i];
	}
	status = read_vms(source, scan, sel, vcpus, nr);
	free(vcpus);
	return status;
}

static int read_once(const struct source *source,
		     const struct exit_selection *sel, struct exit_scan *scan)
{
	int status = STATUS_OK;

	if (sel->host)
		status = read_host(source->data, scan);
	if (!status && (sel->vms || sel->vcpus))
		status = read_all_vms(source, scan, sel);
	return status;
}

/* A vCPU that ends is added to the host's totals and taken from its row. */
static int read_bpf(struct source *source, const struct exit_selection *sel,
		    struct exit_scan *scan)
{
	const struct bpf_data *data = source->data;
	const volatile struct exits__bss *bss = data->skel->bss;
	unsigned long long folds;
	int status, tries = 0;

	for (;;) {
		folds = bss->folds_done;
		status = read_once(source, sel, scan);
		if (status || bss->folds_begun == folds || ++tries > MAX_TRIES)
			return status;
		while (scan->nr_scopes)
			scan_drop_last(scan);
		/* Who does it may want this CPU. */
		usleep(1000);
	}
}

const struct source_ops bpf_source = {
	.name = "bpf",
	.abilities = SOURCE_HOST | SOURCE_VMS | SOURCE_VCPUS,
	.probe = probe,
	.open = open_bpf,
	.close = close_bpf,
	.read = read_bpf,
};
