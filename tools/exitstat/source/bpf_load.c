// SPDX-License-Identifier: GPL-2.0
/* Brings exits.bpf.c into the kernel, and keeps it there. */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/message.h"
#include "source/bpf_load.h"
#include "source/kvmhost.h"

/* More vCPUs than that share a row: 3.8 KiB for each. */
#define MAX_ROWS 65536
#define MIN_ROWS 256

/* Why it cannot be, in a few words; NULL if nothing is known against it. */
const char *bpf_trouble(const struct source_setup *setup)
{
	const struct kvm_vendor *vendor = kvm_vendor_find(setup->sysfs);

	if (!vendor)
		return "neither kvm_intel nor kvm_amd is loaded";
	if (!vendor->isa)
		return "this KVM (PVM) has no kvm_exit events";
	if (!kernel_has_btf(setup->sysfs, NULL))
		return "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)";
	if (!kernel_has_btf(setup->sysfs, vendor->module))
		return "KVM's modules were built without BTF";
	if (!user_is_admin())
		return "it needs root (CAP_SYS_ADMIN)";
	return NULL;
}

static int explain(const struct source_setup *setup)
{
	const char *trouble = bpf_trouble(setup);

	if (!user_is_admin())
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

/* What only the kernel's types tell of it. */
struct kernel_abilities {
	/* bpf_rdonly_cast(), from 6.2 on */
	bool cast;
	/* kvm_exit has the reason before the vCPU: until Linux 5.15 */
	bool with_reason;
};

static unsigned int nr_exit_arguments(const struct btf *btf)
{
	const int id = btf__find_by_name_kind(btf, "btf_trace_kvm_exit",
					      BTF_KIND_TYPEDEF);
	const struct btf_type *type;

	if (id <= 0)
		return 0;
	type = btf__type_by_id(btf, id);
	/* a pointer to the function, whose first argument is its own */
	type = btf__type_by_id(btf, type->type);
	type = btf__type_by_id(btf, type->type);
	return btf_vlen(type) - 1;
}

static struct kernel_abilities read_abilities(void)
{
	struct btf *vmlinux = btf__load_vmlinux_btf();
	struct btf *kvm = btf__load_module_btf("kvm", vmlinux);
	struct kernel_abilities abilities = {};

	if (vmlinux) {
		abilities.cast = btf__find_by_name_kind(vmlinux,
							"bpf_rdonly_cast",
							BTF_KIND_FUNC) > 0;
		abilities.with_reason =
			nr_exit_arguments(kvm ? kvm : vmlinux) == 3;
	}
	btf__free(kvm);
	btf__free(vmlinux);
	return abilities;
}

/* 0, or less than 0 and a complaint. */
static int try_to_load(struct bpf_counters *counters,
		       const struct kernel_abilities *kernel, bool phases)
{
	const bool times = counters->level >= LEVEL_TIMES;
	const bool histograms = counters->level >= LEVEL_HISTOGRAMS;
	struct exits *skel = exits__open();
	int error;

	if (!skel)
		return -errno;
	skel->rodata->has_cast = kernel->cast;
	skel->rodata->is_svm = !strcmp(counters->isa, "svm");
	skel->rodata->has_times = times;
	skel->rodata->has_histograms = histograms;
	skel->bss->has_phases = phases && times;
	skel->bss->level = counters->level;
	bpf_map__set_max_entries(skel->maps.rows, counters->nr_rows);
	bpf_map__set_max_entries(skel->maps.by_vcpu, counters->nr_rows);
	bpf_map__set_max_entries(skel->maps.free_rows, counters->nr_rows);
	if (histograms)
		bpf_map__set_max_entries(skel->maps.histograms,
					 counters->nr_rows);
	bpf_program__set_autoload(skel->progs.on_exit, !kernel->with_reason);
	bpf_program__set_autoload(skel->progs.on_exit_with_reason,
				  kernel->with_reason);
	bpf_program__set_autoload(skel->progs.on_entry, times);
	bpf_program__set_autoload(skel->progs.on_wakeup, times);
	bpf_program__set_autoload(skel->progs.on_put, phases && times);
	bpf_program__set_autoload(skel->progs.on_load, phases && times);
	*complaint = '\0';
	error = exits__load(skel);
	if (!error)
		error = exits__attach(skel);
	if (error)
		exits__destroy(skel);
	else
		counters->skel = skel;
	return error;
}

static void *map_fd(int fd, size_t size)
{
	void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	return data == MAP_FAILED ? NULL : data;
}

static bool map_rows(struct bpf_counters *counters, int rows, int histograms)
{
	counters->rows =
		map_fd(rows, counters->nr_rows * sizeof(*counters->rows));
	if (histograms >= 0)
		counters->histograms = map_fd(
			histograms,
			counters->nr_rows * sizeof(*counters->histograms));
	return counters->rows && (histograms < 0 || counters->histograms);
}

/* Nothing is counted before there is all of it. */
static bool begin(struct bpf_counters *counters,
		  const struct source_setup *setup)
{
	const struct exits *skel = counters->skel;
	unsigned int i;

	counters->bss = skel->bss;
	if (!map_rows(counters, bpf_map__fd(skel->maps.rows),
		      counters->level >= LEVEL_HISTOGRAMS ?
			      bpf_map__fd(skel->maps.histograms) :
			      -1))
		return false;
	for (i = BPF_ROW_FIRST; i < counters->nr_rows; i++) {
		if (bpf_map__update_elem(skel->maps.free_rows, NULL, 0, &i,
					 sizeof(i), 0))
			return false;
	}
	skel->bss->exits_before = bpf_kvm_exits(setup);
	skel->bss->since = clock_now(CLOCK_REALTIME);
	skel->bss->counting = true;
	return true;
}

int bpf_load(struct bpf_counters *counters, const struct source_setup *setup)
{
	const struct kvm_vendor *vendor = kvm_vendor_find(setup->sysfs);
	struct kernel_abilities kernel;
	int error;

	*counters = (struct bpf_counters){};
	if (bpf_trouble(setup))
		return explain(setup);
	kernel = read_abilities();
	counters->isa = vendor->isa;
	counters->nr_rows = rows_for(count_vcpus(setup->debugfs));
	counters->level = setup->level ? setup->level : LEVEL_TIMES;

	libbpf_set_print(keep_complaint);
	/* Some kernels refuse all but tracepoints. */
	error = try_to_load(counters, &kernel, true);
	if (error)
		error = try_to_load(counters, &kernel, false);
	if (error && !kernel.cast &&
	    kernel_is_locked_down(setup->sysfs, "confidentiality"))
		return fail(
			STATUS_UNSUPPORTED,
			"kernel lockdown (confidentiality) forbids counting exits by eBPF on kernels before 6.2");
	if (error)
		return fail(STATUS_ERROR,
			    "exits cannot be counted by eBPF: %s (%s)",
			    strerror(-error), complaint);
	if (!begin(counters, setup))
		return fail(STATUS_ERROR,
			    "the counters of eBPF cannot be read: %s",
			    strerror(errno));
	return STATUS_OK;
}

bool bpf_is_pinned(void)
{
	return file_exists(BPF_PINS "/rows");
}

bool bpf_has_pinned_histograms(void)
{
	return file_exists(BPF_PINS "/histograms");
}

unsigned long long bpf_kvm_exits(const struct source_setup *setup)
{
	char path[PATH_MAX], *text;
	unsigned long long exits = 0;
	size_t len;

	snprintf(path, sizeof(path), "%s/kvm/exits", setup->debugfs);
	text = read_file(path, 4096, &len);
	if (text)
		exits = strtoull(text, NULL, 10);
	free(text);
	return exits;
}

/* Those of another exitstat may be others. */
static int open_map(const char *path, size_t size, size_t *nr)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	const int fd = bpf_obj_get(path);

	if (fd < 0)
		return fail(STATUS_ERROR, "cannot read %s: %s", path,
			    strerror(errno)),
		       -1;
	/* A struct's end is padded, and that of a section is not. */
	if (bpf_obj_get_info_by_fd(fd, &info, &len) ||
	    (info.value_size + 7) / 8 * 8 != size) {
		close(fd);
		return fail(STATUS_ERROR,
			    "%s is another exitstat's: run 'exitstat detach' and 'exitstat attach'",
			    BPF_PINS),
		       -1;
	}
	*nr = info.max_entries;
	return fd;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static int check_level(struct bpf_counters *counters,
		       const struct source_setup *setup)
{
	counters->level = counters->bss->level < NR_LEVELS ?
				  counters->bss->level :
				  LEVEL_TIMES;
	if (setup->level <= counters->level)
		return STATUS_OK;
	return fail(
		STATUS_ERROR,
		"'exitstat attach' lets %s be counted, not %s: run 'exitstat detach' and 'exitstat attach --level %s'",
		level_names[counters->level], level_names[setup->level],
		level_names[setup->level]);
}

int bpf_open_pinned(struct bpf_counters *counters,
		    const struct source_setup *setup)
{
	const struct kvm_vendor *vendor = kvm_vendor_find(setup->sysfs);
	int rows, bss = -1, histograms = -1, status;
	size_t nr;

	*counters = (struct bpf_counters){};
	if (!vendor || !vendor->isa)
		return explain(setup);
	counters->isa = vendor->isa;
	rows = open_map(BPF_PINS "/rows", sizeof(struct bpf_row),
			&counters->nr_rows);
	if (rows >= 0)
		bss = open_map(BPF_PINS "/bss", sizeof(struct exits__bss), &nr);
	if (bss >= 0 && bpf_has_pinned_histograms())
		histograms = open_map(BPF_PINS "/histograms",
				      sizeof(struct bpf_histograms), &nr);
	if (bss < 0)
		status = STATUS_ERROR;
	else if (!map_rows(counters, rows, histograms) ||
		 !(counters->bss = map_fd(bss, sizeof(*counters->bss))))
		status = fail(STATUS_ERROR, "cannot map %s: %s", BPF_PINS,
			      strerror(errno));
	else
		status = check_level(counters, setup);
	close_fd(rows);
	close_fd(bss);
	close_fd(histograms);
	return status;
}

void bpf_close(struct bpf_counters *counters)
{
	if (counters->rows)
		munmap((void *)counters->rows,
		       counters->nr_rows * sizeof(*counters->rows));
	if (counters->histograms)
		munmap((void *)counters->histograms,
		       counters->nr_rows * sizeof(*counters->histograms));
	if (counters->skel)
		exits__destroy(counters->skel);
	else if (counters->bss)
		munmap(counters->bss, sizeof(*counters->bss));
	*counters = (struct bpf_counters){};
}

static bool pin_all(struct exits *skel)
{
	const bool with_reason = skel->links.on_exit_with_reason;
	const struct {
		const char *path;
		struct bpf_link *link;
	} links[] = {
		{ BPF_PINS "/on_exit", with_reason ?
					       skel->links.on_exit_with_reason :
					       skel->links.on_exit },
		{ BPF_PINS "/on_entry", skel->links.on_entry },
		{ BPF_PINS "/on_put", skel->links.on_put },
		{ BPF_PINS "/on_load", skel->links.on_load },
		{ BPF_PINS "/on_wakeup", skel->links.on_wakeup },
		{ BPF_PINS "/on_destroy", skel->links.on_destroy },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(links); i++) {
		if (links[i].link &&
		    bpf_link__pin(links[i].link, links[i].path))
			return false;
	}
	if (skel->rodata->has_histograms &&
	    bpf_map__pin(skel->maps.histograms, BPF_PINS "/histograms"))
		return false;
	/* The one by which it is known that there are any comes last. */
	return !bpf_map__pin(skel->maps.bss, BPF_PINS "/bss") &&
	       !bpf_map__pin(skel->maps.rows, BPF_PINS "/rows");
}

int bpf_pin(struct bpf_counters *counters)
{
	struct statfs fs;
	int error;

	if (statfs(BPF_FS, &fs) || fs.f_type != BPF_FS_MAGIC)
		return fail(
			STATUS_ERROR,
			"no bpf file system is mounted on %s: mount -t bpf bpf %s",
			BPF_FS, BPF_FS);
	/* Two of us: the one that makes it pins. */
	if (mkdir(BPF_PINS, 0700))
		return fail(STATUS_ERROR, "cannot make %s: %s%s", BPF_PINS,
			    strerror(errno),
			    errno == EEXIST ? ": run 'exitstat detach'" : "");
	if (!pin_all(counters->skel)) {
		error = errno;
		bpf_unpin();
		return fail(STATUS_ERROR, "cannot pin programs in %s: %s",
			    BPF_PINS, strerror(error));
	}
	return STATUS_OK;
}

int bpf_unpin(void)
{
	static const char *const names[] = {
		"rows",	   "bss",	"on_exit",    "on_entry",   "on_put",
		"on_load", "on_wakeup", "on_destroy", "histograms",
	};
	char path[sizeof(BPF_PINS) + 32];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", BPF_PINS, names[i]);
		if (unlink(path) && errno != ENOENT)
			return fail(STATUS_ERROR, "cannot remove %s: %s", path,
				    strerror(errno));
	}
	if (rmdir(BPF_PINS) && errno != ENOENT)
		return fail(STATUS_ERROR, "cannot remove %s: %s", BPF_PINS,
			    strerror(errno));
	return STATUS_OK;
}
