// SPDX-License-Identifier: GPL-2.0
/* Brings exits.bpf.c into the kernel, and keeps it there. */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stddef.h>
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

/* 3.7 KiB each. */
#define MIN_ROWS 256
/* What an element of an array may have before Linux 6.7: KMALLOC_MAX_SIZE. */
#define OLD_MAX_VALUE (4 << 20)

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
	/* BTF says how long .bss was before it was cut; nothing is wrong. */
	if (strstr(format, "Retrying without BTF"))
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
		if (!is_vm_id(vm->d_name))
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

	return nr < MIN_ROWS ? MIN_ROWS : nr > BPF_MAX_ROWS ? BPF_MAX_ROWS : nr;
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

/* Can an element of a map have as many bytes? */
static bool can_be_value(size_t size)
{
	int fd;

	if (size <= OLD_MAX_VALUE)
		return true;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, NULL, sizeof(int), size, 1,
			    NULL);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static size_t bss_size(size_t nr_rows)
{
	return offsetof(struct exits__bss, rows) +
	       nr_rows * sizeof(struct bpf_row);
}

/* Leave as many rows in .bss, of which all were mapped when it was opened. */
static int cut_rows(struct exits *skel, size_t nr)
{
	const size_t page = sysconf(_SC_PAGESIZE);
	const size_t end = (bss_size(nr) + page - 1) / page * page;
	char *begin = (char *)skel->bss;
	size_t size;

	if (bpf_map__set_value_size(skel->maps.bss, bss_size(nr)))
		return -errno;
	/* libbpf does that since 1.3. */
	if (libbpf_major_version() == 1 && libbpf_minor_version() < 3)
		munmap(begin + end, sizeof(*skel->bss) - end);
	/* Newer ones may have moved it. */
	skel->bss = (void *)bpf_map__initial_value(skel->maps.bss, &size);
	return 0;
}

/* Those that this kernel and this level need, in the skeleton's order. */
static void choose_programs(struct exits *skel,
			    const struct bpf_counters *counters,
			    const struct kernel_abilities *kernel, bool in_map,
			    bool phases)
{
	struct bpf_program *const of_svm[NR_LEVELS] = {
		[LEVEL_COUNTS] = skel->progs.on_svm_exit_counts,
		[LEVEL_TIMES] = skel->progs.on_svm_exit_times,
		[LEVEL_HISTOGRAMS] = skel->progs.on_svm_exit_histograms,
	};
	struct bpf_program *const of_vmx[NR_LEVELS] = {
		[LEVEL_COUNTS] = skel->progs.on_vmx_exit_counts,
		[LEVEL_TIMES] = skel->progs.on_vmx_exit_times,
		[LEVEL_HISTOGRAMS] = skel->progs.on_vmx_exit_histograms,
	};
	struct bpf_program *const of_entry[NR_LEVELS] = {
		[LEVEL_TIMES] = skel->progs.on_entry_times,
		[LEVEL_HISTOGRAMS] = skel->progs.on_entry_histograms,
	};
	const enum count_level level = counters->level;
	const bool times = level >= LEVEL_TIMES;
	struct bpf_program *on_exit, *on_entry = skel->progs.on_entry;
	struct bpf_program *program;

	if (kernel->with_reason)
		on_exit = skel->progs.on_exit_with_reason;
	else if (!kernel->cast || in_map)
		on_exit = skel->progs.on_exit;
	else
		on_exit = (skel->rodata->is_svm ? of_svm : of_vmx)[level];
	if (!in_map && times)
		on_entry = of_entry[level];

	bpf_object__for_each_program(program, skel->obj) {
		const bool wanted =
			program == on_exit ||
			program == skel->progs.on_destroy ||
			(times && (program == on_entry ||
				   program == skel->progs.on_wakeup)) ||
			(times && phases &&
			 (program == skel->progs.on_put ||
			  program == skel->progs.on_load));

		bpf_program__set_autoload(program, wanted);
	}
}

/* 0, or less than 0 and a complaint. */
static int try_to_load(struct bpf_counters *counters,
		       const struct kernel_abilities *kernel, bool phases)
{
	const size_t nr_rows = counters->nr_rows;
	const bool in_map = !can_be_value(bss_size(nr_rows));
	const bool histograms = counters->level >= LEVEL_HISTOGRAMS;
	struct exits *skel = exits__open();
	int error;

	if (!skel)
		return -errno;
	skel->rodata->has_cast = kernel->cast;
	skel->rodata->is_svm = !strcmp(counters->isa, "svm");
	skel->rodata->has_times = counters->level >= LEVEL_TIMES;
	skel->rodata->has_histograms = histograms;
	skel->rodata->rows_in_map = in_map;
	skel->rodata->nr_rows = in_map ? 1 : nr_rows;
	skel->bss->has_phases = phases && counters->level >= LEVEL_TIMES;
	skel->bss->level = counters->level;
	bpf_map__set_max_entries(skel->maps.more_rows, in_map ? nr_rows : 1);
	bpf_map__set_max_entries(skel->maps.by_vcpu, nr_rows);
	bpf_map__set_max_entries(skel->maps.free_rows, nr_rows);
	bpf_map__set_max_entries(skel->maps.histograms,
				 histograms ? nr_rows : 1);
	choose_programs(skel, counters, kernel, in_map, phases);
	*complaint = '\0';
	error = cut_rows(skel, in_map ? 1 : nr_rows);
	if (!error)
		error = exits__load(skel);
	if (!error)
		error = exits__attach(skel);
	if (error)
		exits__destroy(skel);
	else
		counters->skel = skel;
	return error;
}

/* Of a map; it is copied where it must not be mapped.  False and errno. */
static bool open_memory(struct bpf_memory *memory, int fd, bool copy)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	void *data;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return false;
	/* The kernel puts elements at multiples of 8. */
	memory->element = (info.value_size + 7) / 8 * 8;
	memory->nr = info.max_entries;
	memory->size = memory->nr * memory->element;
	data = mmap(NULL, memory->size,
		    copy ? PROT_READ | PROT_WRITE : PROT_READ,
		    copy ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED,
		    copy ? -1 : fd, 0);
	if (data == MAP_FAILED)
		return false;
	memory->data = data;
	if (copy) {
		memory->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (memory->fd < 0) {
			munmap(data, memory->size);
			memory->data = NULL;
			return false;
		}
	}
	memory->is_copy = copy;
	return true;
}

static bool copy_memory(const struct bpf_memory *memory)
{
	uint32_t i;

	for (i = 0; memory->is_copy && i < memory->nr; i++) {
		if (bpf_map_lookup_elem(memory->fd, &i,
					(char *)memory->data +
						i * memory->element))
			return false;
	}
	return true;
}

/* Point to what is in the memories.  False if that is another exitstat's. */
static bool find_rows(struct bpf_counters *counters)
{
	const struct bpf_memory *bss = &counters->memories[BPF_OF_BSS];
	const struct bpf_memory *rows = &counters->memories[BPF_OF_ROWS];
	const struct bpf_memory *histograms =
		&counters->memories[BPF_OF_HISTOGRAMS];

	counters->bss = bss->data;
	counters->histograms = histograms->data;
	if (bss->nr != 1 || bss->element < bss_size(1))
		return false;
	if (rows->data) {
		counters->rows = rows->data;
		counters->nr_rows = rows->nr;
	} else {
		counters->rows = counters->bss->rows;
		counters->nr_rows =
			(bss->element - bss_size(0)) / sizeof(struct bpf_row);
	}
	return (!rows->data || rows->element == sizeof(struct bpf_row)) &&
	       (rows->data || bss_size(counters->nr_rows) == bss->element) &&
	       (!histograms->data ||
		(histograms->element == sizeof(struct bpf_histograms) &&
		 histograms->nr == counters->nr_rows));
}

bool bpf_refresh(struct bpf_counters *counters, unsigned long long *folds)
{
	const struct bpf_memory *bss = &counters->memories[BPF_OF_BSS];
	size_t i;

	/* Rows may be in it: it comes first, with the number. */
	for (i = 0; i < NR_BPF_MEMORIES; i++) {
		if (!copy_memory(&counters->memories[i]))
			return false;
	}
	*folds =
		*(const volatile unsigned long long *)&counters->bss->folds_done;
	return bss->data;
}

bool bpf_is_whole(const struct bpf_counters *counters, unsigned long long folds)
{
	const struct bpf_memory *bss = &counters->memories[BPF_OF_BSS];
	const struct exits__bss *now = counters->bss;
	const uint32_t key = 0;
	void *copy = NULL;
	bool whole;

	if (bss->is_copy) {
		copy = malloc(bss->element);
		if (!copy || bpf_map_lookup_elem(bss->fd, &key, copy)) {
			free(copy);
			return false;
		}
		now = copy;
	}
	whole = *(const volatile unsigned long long *)&now->folds_begun ==
		folds;
	free(copy);
	return whole;
}

/* Nothing is counted before there is all of it. */
static bool begin(struct bpf_counters *counters,
		  const struct source_setup *setup)
{
	struct exits *skel = counters->skel;
	unsigned int i;

	if (!open_memory(&counters->memories[BPF_OF_BSS],
			 bpf_map__fd(skel->maps.bss), false))
		return false;
	if (skel->rodata->rows_in_map &&
	    !open_memory(&counters->memories[BPF_OF_ROWS],
			 bpf_map__fd(skel->maps.more_rows), false))
		return false;
	if (counters->level >= LEVEL_HISTOGRAMS &&
	    !open_memory(&counters->memories[BPF_OF_HISTOGRAMS],
			 bpf_map__fd(skel->maps.histograms), false))
		return false;
	find_rows(counters);
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
	return file_exists(BPF_PINS "/bss");
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

/*
 * Memory that is pinned, if it is there.  Who may not write gets a copy, because
 * what cannot be written cannot be mapped.
 */
static int open_pinned(struct bpf_memory *memory, const char *name)
{
	LIBBPF_OPTS(bpf_obj_get_opts, read_only, .file_flags = BPF_F_RDONLY);
	char path[sizeof(BPF_PINS) + 32];
	bool copy = false, done;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", BPF_PINS, name);
	fd = bpf_obj_get(path);
	if (fd < 0 && (errno == EACCES || errno == EPERM)) {
		copy = true;
		fd = bpf_obj_get_opts(path, &read_only);
	}
	if (fd < 0 && errno == ENOENT)
		return STATUS_OK;
	done = fd >= 0 && open_memory(memory, fd, copy) && copy_memory(memory);
	if (!done)
		fail(STATUS_ERROR, "cannot read %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return done ? STATUS_OK : STATUS_ERROR;
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
	static const char *const names[NR_BPF_MEMORIES] = {
		[BPF_OF_BSS] = "bss",
		[BPF_OF_ROWS] = "rows",
		[BPF_OF_HISTOGRAMS] = "histograms",
	};
	const struct kvm_vendor *vendor = kvm_vendor_find(setup->sysfs);
	int status = STATUS_OK;
	size_t i;

	*counters = (struct bpf_counters){};
	if (!vendor || !vendor->isa)
		return explain(setup);
	counters->isa = vendor->isa;
	for (i = 0; !status && i < NR_BPF_MEMORIES; i++)
		status = open_pinned(&counters->memories[i], names[i]);
	if (status)
		return status;
	if (!find_rows(counters))
		return fail(
			STATUS_ERROR,
			"%s is another exitstat's: run 'exitstat detach' and 'exitstat attach'",
			BPF_PINS);
	return check_level(counters, setup);
}

void bpf_close(struct bpf_counters *counters)
{
	size_t i;

	for (i = 0; i < NR_BPF_MEMORIES; i++) {
		const struct bpf_memory *memory = &counters->memories[i];

		if (memory->data)
			munmap(memory->data, memory->size);
		if (memory->is_copy)
			close(memory->fd);
	}
	if (counters->skel)
		exits__destroy(counters->skel);
	*counters = (struct bpf_counters){};
}

static bool pin_all(struct exits *skel)
{
	const struct bpf_object_skeleton *all = skel->skeleton;
	char path[sizeof(BPF_PINS) + 64];
	int i;

	for (i = 0; i < all->prog_cnt; i++) {
		snprintf(path, sizeof(path), "%s/%s", BPF_PINS,
			 all->progs[i].name);
		if (*all->progs[i].link &&
		    bpf_link__pin(*all->progs[i].link, path))
			return false;
	}
	if (skel->rodata->has_histograms &&
	    bpf_map__pin(skel->maps.histograms, BPF_PINS "/histograms"))
		return false;
	if (skel->rodata->rows_in_map &&
	    bpf_map__pin(skel->maps.more_rows, BPF_PINS "/rows"))
		return false;
	/* The one by which it is known that there are any comes last. */
	return !bpf_map__pin(skel->maps.bss, BPF_PINS "/bss");
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
	char path[sizeof(BPF_PINS) + NAME_MAX + 2];
	const struct dirent *entry;
	DIR *dir = opendir(BPF_PINS);

	if (!dir)
		return errno == ENOENT ?
			       STATUS_OK :
			       fail(STATUS_ERROR, "cannot read %s: %s",
				    BPF_PINS, strerror(errno));
	/* Nobody shall find half of them.  Another exitstat's may have others. */
	unlink(BPF_PINS "/bss");
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s", BPF_PINS, entry->d_name);
		if (*entry->d_name != '.' && unlink(path) && errno != ENOENT) {
			fail(STATUS_ERROR, "cannot remove %s: %s", path,
			     strerror(errno));
			closedir(dir);
			return STATUS_ERROR;
		}
	}
	closedir(dir);
	if (rmdir(BPF_PINS) && errno != ENOENT)
		return fail(STATUS_ERROR, "cannot remove %s: %s", BPF_PINS,
			    strerror(errno));
	return STATUS_OK;
}
