// SPDX-License-Identifier: GPL-2.0
/*
 * VMs come and go while everything that KVM's exit accounting offers is read,
 * and while it is switched off and on; at the end no exit may be missing.  See
 * usage().
 *
 * It looks at what a reader can tell by itself: a total is the sum of its rows,
 * and no counter goes backwards.  Whether the kernel took harm, only a debug
 * kernel's console can say.
 */
#define _GNU_SOURCE
#include "statsfd.h"
#include "vmm.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MSEC 1000

#define DEBUGFS "/sys/kernel/debug/kvm"
#define SYSFS "/sys/kernel/kvm/exit_stats"
#define PARAMETERS "/sys/module/kvm/parameters"

/* VMs that are alive at the same time, of 2 vCPUs each. */
#define VMS_AT_ONCE 2
#define NR_VCPUS 2
/* How long one lives once it runs, in microseconds. */
#define MAX_LIFE (100 * MSEC)
/* One in so many is killed while it is being made, perhaps. */
#define KILLED_EARLY 8
#define MAX_EARLY (500 * MSEC)
/* How often each vCPU of the last VM asks for CPUID. */
#define LAST_CPUIDS 20000

/* The guest has memory from address 0 to GUEST_MEMORY. */
#define GUEST_CODE 0x1000
#define GUEST_MEMORY 0x8000
#define GUEST_PORT_DONE 0xf4

/*
 * Real mode.  guest_loop makes exits of many kinds and never ends; HLT waits
 * for an NMI where KVM has the interrupt controller.  guest_count does edi
 * CPUIDs and writes to GUEST_PORT_DONE.
 */
asm(".pushsection .rodata\n"
    "	.code16\n"
    "guest_begin:\n"
    "guest_loop:\n"
    "	inc	%esi\n"
    "	mov	%esi, %ecx\n"
    "	and	$0x1ff, %ecx\n"
    "	mov	$0x4ffffffd, %eax\n"
    "	cpuid\n"
    "	mov	$0x4fffffff, %eax\n"
    "	cpuid\n"
    "	in	$0x40, %al\n"
    "	out	%al, $0xe9\n"
    "	mov	%al, 0x9000\n"
    "	test	$0xf, %si\n"
    "	jnz	guest_loop\n"
    "	hlt\n"
    "	jmp	guest_loop\n"
    "guest_nmi:\n"
    "	iret\n"
    "guest_count:\n"
    "	cpuid\n"
    "	dec	%edi\n"
    "	jnz	guest_count\n"
    "	out	%al, $0xf4\n"
    "	jmp	guest_count\n"
    "guest_end:\n"
    "	.code64\n"
    "	.popsection\n");
extern const unsigned char guest_begin[], guest_loop[], guest_nmi[],
	guest_count[], guest_end[];

enum what {
	READ_HOST,
	READ_VM,
	READ_GONE,
	READ_SYSFS,
	READ_STATSFD,
	READ_ORPHAN,
	SWITCHED,
	VMS_KILLED,
	VMS_RUN,
	NR_WHAT
};

static const char *const what_names[NR_WHAT] = {
	[READ_HOST] = "host_files_read",
	[READ_VM] = "vm_files_read",
	[READ_GONE] = "vm_files_gone",
	[READ_SYSFS] = "sysfs_files_read",
	[READ_STATSFD] = "stats_fds_read",
	[READ_ORPHAN] = "stats_fds_of_dead_vms_read",
	[SWITCHED] = "switched",
	[VMS_KILLED] = "vms_killed",
	[VMS_RUN] = "vms_run",
};

/* Of all processes. */
struct shared {
	/* Only what reads the tables goes on. */
	atomic_bool calm;
	atomic_bool stop;
	atomic_ulong done[NR_WHAT];
	/* By place in kill_vms(). */
	atomic_bool runs[VMS_AT_ONCE];
};

static struct shared *shared;
static unsigned int seed;

static bool is_calm(void)
{
	return atomic_load(&shared->calm) || atomic_load(&shared->stop);
}

static void count(enum what what)
{
	atomic_fetch_add(&shared->done[what], 1);
}

static unsigned int random_below(unsigned int n)
{
	return rand_r(&seed) % n;
}

static void sleep_usec(unsigned int usec)
{
	const struct timespec ts = { usec / 1000000, usec % 1000000 * 1000 };

	nanosleep(&ts, NULL);
}

static pid_t start(void)
{
	pid_t pid, parent = getpid();

	seed = rand_r(&seed);
	pid = fork();
	if (pid < 0)
		err(EXIT_FAILURE, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* Killed already: then so are we. */
		if (getppid() != parent)
			_exit(EXIT_SUCCESS);
	} else {
		rand_r(&seed);
	}
	return pid;
}

/* Files */

/* Read a file into a string.  Returns false, with errno, if it cannot be read. */
static bool read_fd(int fd, char *text, size_t size)
{
	size_t used = 0;

	while (used < size - 1) {
		ssize_t n = read(fd, text + used, size - 1 - used);

		if (n < 0)
			return false;
		if (!n)
			break;
		used += n;
	}
	text[used] = '\0';
	if (used == size - 1) {
		errno = EFBIG;
		return false;
	}
	return true;
}

static bool read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool ok;
	int e;

	if (fd < 0)
		return false;
	ok = read_fd(fd, text, size);
	e = errno;
	close(fd);
	errno = e;
	return ok;
}

/* A VM's file may go away with it at any time. */
static bool is_gone(int error)
{
	return error == ENOENT || error == ENODEV || error == EIO;
}

static void write_parameter(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", PARAMETERS, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		err(EXIT_FAILURE, "%s: cannot write %s", path, value);
	close(fd);
}

static bool exists(const char *path)
{
	return !access(path, F_OK);
}

/* Tables, of exit_stats and exit_latency */

#define MAX_COLUMNS 16
#define MAX_ROWS 4096
#define KEY_SIZE 112
#define TEXT_SIZE (512 << 10)

struct row {
	char key[KEY_SIZE];
	uint64_t value[MAX_COLUMNS];
};

struct table {
	/* What the first line says and only can grow. */
	uint64_t guest_cycles, failed_entries, clamped;
	/* Columns of values; all others make up a row's key. */
	char column[MAX_COLUMNS][32];
	unsigned int nr_columns;
	struct row row[MAX_ROWS];
	unsigned int nr_rows;
	/* Of exit_stats only. */
	struct row total;
};

static struct table *new_table(void)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		err(EXIT_FAILURE, "table");
	return t;
}

static uint64_t parse_number(const char *path, const char *word)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(word, &end, 10);
	if (errno || end == word || *end || *word == '-')
		errx(EXIT_FAILURE, "%s: '%s' is no number", path, word);
	return n;
}

static bool is_key_column(const char *name)
{
	static const char *const keys[] = { "reason", "name", "time",
					    "from_cycles", "below_cycles" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!strcmp(name, keys[i]))
			return true;
	}
	return false;
}

static void parse_first_line(struct table *t, const char *path, char *line)
{
	char *rest, *word;

	for (word = strtok_r(line, " ", &rest); word;
	     word = strtok_r(NULL, " ", &rest)) {
		char *value = strchr(word, '=');

		if (!value)
			continue;
		*value++ = '\0';
		if (!strcmp(word, "guest_cycles"))
			t->guest_cycles = parse_number(path, value);
		else if (!strcmp(word, "failed_entries"))
			t->failed_entries = parse_number(path, value);
		else if (!strcmp(word, "clamped"))
			t->clamped = parse_number(path, value);
	}
}

static void parse_row(struct table *t, const char *path, char *line,
		      char names[][32], unsigned int nr_names)
{
	struct row *row = &t->row[t->nr_rows];
	unsigned int column = 0, value = 0;
	char *rest, *word;
	bool total = false;
	size_t used = 0;

	if (t->nr_rows == MAX_ROWS)
		errx(EXIT_FAILURE, "%s: too many rows", path);
	memset(row, 0, sizeof(*row));

	for (word = strtok_r(line, " ", &rest); word;
	     word = strtok_r(NULL, " ", &rest)) {
		if (column == nr_names)
			errx(EXIT_FAILURE, "%s: a row is too long", path);
		if (is_key_column(names[column])) {
			used += snprintf(row->key + used, KEY_SIZE - used,
					 "%s ", word);
			if (used >= KEY_SIZE)
				errx(EXIT_FAILURE, "%s: a name is too long",
				     path);
			total |= !strcmp(word, "TOTAL");
		} else {
			row->value[value++] = parse_number(path, word);
		}
		column++;
	}
	if (column != nr_names)
		errx(EXIT_FAILURE, "%s: a row is too short", path);

	if (total)
		t->total = *row;
	else if (t->total.key[0])
		errx(EXIT_FAILURE, "%s: TOTAL is not the last row", path);
	else
		t->nr_rows++;
}

/* Parse, and check that the total is the sum of the rows. */
static void parse_table(struct table *t, const char *path, char *text)
{
	char names[2 * MAX_COLUMNS][32];
	unsigned int nr_names = 0;
	char *rest, *line, *word, *more;

	t->guest_cycles = t->failed_entries = t->clamped = 0;
	t->nr_columns = t->nr_rows = 0;
	memset(&t->total, 0, sizeof(t->total));

	line = strtok_r(text, "\n", &rest);
	if (!line)
		errx(EXIT_FAILURE, "%s: it is empty", path);
	parse_first_line(t, path, line);

	line = strtok_r(NULL, "\n", &rest);
	for (word = line ? strtok_r(line, " ", &more) : NULL; word;
	     word = strtok_r(NULL, " ", &more)) {
		if (nr_names == ARRAY_SIZE(names) ||
		    t->nr_columns == MAX_COLUMNS || strlen(word) >= 32)
			errx(EXIT_FAILURE, "%s: too many columns", path);
		strcpy(names[nr_names++], word);
		if (!is_key_column(word))
			strcpy(t->column[t->nr_columns++], word);
	}

	while ((line = strtok_r(NULL, "\n", &rest)))
		parse_row(t, path, line, names, nr_names);

	if (!strstr(path, "exit_stats"))
		return;
	if (!t->total.key[0])
		errx(EXIT_FAILURE, "%s: there is no row TOTAL", path);
	for (unsigned int c = 0; c < t->nr_columns; c++) {
		uint64_t sum = 0;

		for (unsigned int i = 0; i < t->nr_rows; i++)
			sum += t->row[i].value[c];
		if (sum != t->total.value[c])
			errx(EXIT_FAILURE,
			     "%s: TOTAL of %s is %" PRIu64
			     ", the sum of the rows %" PRIu64,
			     path, t->column[c], t->total.value[c], sum);
	}
}

static void check_row_grows(const struct table *t, const char *path,
			    const struct row *before, const struct row *after)
{
	for (unsigned int c = 0; c < t->nr_columns; c++) {
		if (after->value[c] < before->value[c])
			errx(EXIT_FAILURE,
			     "%s: %s of row %swent back from %" PRIu64
			     " to %" PRIu64,
			     path, t->column[c], before->key, before->value[c],
			     after->value[c]);
	}
}

/* A row is never far from where it was before. */
static const struct row *find_row(const struct table *t, const char *key,
				  unsigned int *from)
{
	for (unsigned int i = 0; i < t->nr_rows; i++) {
		unsigned int at = (*from + i) % t->nr_rows;

		if (!strcmp(t->row[at].key, key)) {
			*from = at + 1;
			return &t->row[at];
		}
	}
	return NULL;
}

static void check_grows(const struct table *before, const struct table *after,
			const char *path)
{
	unsigned int from = 0;

	if (after->guest_cycles < before->guest_cycles ||
	    after->failed_entries < before->failed_entries ||
	    after->clamped < before->clamped)
		errx(EXIT_FAILURE, "%s: its first line went back", path);

	for (unsigned int i = 0; i < before->nr_rows; i++) {
		const struct row *row = &before->row[i];
		const struct row *now = find_row(after, row->key, &from);

		if (!now)
			errx(EXIT_FAILURE, "%s: row %shas vanished", path,
			     row->key);
		check_row_grows(after, path, row, now);
	}
	check_row_grows(after, path, &before->total, &after->total);
}

static uint64_t value_of(const struct table *t, const struct row *row,
			 const char *column)
{
	for (unsigned int c = 0; c < t->nr_columns; c++) {
		if (!strcmp(t->column[c], column))
			return row->value[c];
	}
	errx(EXIT_FAILURE, "there is no column %s", column);
}

/* The readers.  Each has its own process. */

static char text[TEXT_SIZE];

static bool read_table(struct table *t, const char *path)
{
	if (!read_file(path, text, sizeof(text)))
		return false;
	parse_table(t, path, text);
	return true;
}

static void need_table(struct table *t, const char *path)
{
	if (!read_table(t, path))
		err(EXIT_FAILURE, "%s", path);
}

static void swap(struct table **a, struct table **b)
{
	struct table *t = *a;

	*a = *b;
	*b = t;
}

static void read_host(void)
{
	static const char *const paths[] = { DEBUGFS "/exit_stats",
					     DEBUGFS "/exit_latency" };
	struct table *before[ARRAY_SIZE(paths)], *after = new_table();
	bool there[ARRAY_SIZE(paths)];

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		there[i] = exists(paths[i]);
		before[i] = new_table();
		if (there[i])
			need_table(before[i], paths[i]);
	}

	while (!atomic_load(&shared->stop)) {
		for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
			if (!there[i])
				continue;
			need_table(after, paths[i]);
			check_grows(before[i], after, paths[i]);
			swap(&before[i], &after);
			count(READ_HOST);
		}
	}
}

typedef void (*on_file)(const char *path, void *data);

/* Call for each table of the VMs in a directory. */
static void each_file(const char *dir, unsigned int depth, on_file call,
		      void *data)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[512];

	if (!d) {
		if (!is_gone(errno))
			err(EXIT_FAILURE, "%s", dir);
		return;
	}
	while ((e = readdir(d)) && !atomic_load(&shared->stop)) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (depth && e->d_type == DT_DIR && e->d_name[0] != '.')
			each_file(path, depth - 1, call, data);
		/* The host's own files are not for here. */
		if (depth < 2 && (!strcmp(e->d_name, "exit_stats") ||
				  !strcmp(e->d_name, "exit_latency")))
			call(path, data);
	}
	closedir(d);
}

struct pair {
	struct table *before, *after;
};

static void read_twice(const char *path, void *data)
{
	struct pair *pair = data;

	if (!read_table(pair->before, path) || !read_table(pair->after, path)) {
		if (!is_gone(errno))
			err(EXIT_FAILURE, "%s", path);
		count(READ_GONE);
		return;
	}
	check_grows(pair->before, pair->after, path);
	count(READ_VM);
}

static void read_vms(void)
{
	struct pair pair = { new_table(), new_table() };

	while (!atomic_load(&shared->stop)) {
		each_file(DEBUGFS, 2, read_twice, &pair);
		sleep_usec(random_below(MSEC));
	}
}

#define MAX_HELD 16

struct held {
	struct {
		int fd;
		char path[256];
	} file[MAX_HELD];
	unsigned int nr;
	struct table *table;
};

/* Keep files open for a while, so that their VMs die meanwhile. */
static void hold(const char *path, void *data)
{
	struct held *h = data;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		if (!is_gone(errno))
			err(EXIT_FAILURE, "%s", path);
		count(READ_GONE);
		return;
	}
	snprintf(h->file[h->nr].path, sizeof(h->file[h->nr].path), "%s", path);
	h->file[h->nr++].fd = fd;
	if (h->nr < MAX_HELD)
		return;

	sleep_usec(random_below(MAX_LIFE));
	while (h->nr--) {
		fd = h->file[h->nr].fd;
		path = h->file[h->nr].path;
		if (read_fd(fd, text, sizeof(text))) {
			parse_table(h->table, path, text);
			count(READ_VM);
		} else if (is_gone(errno)) {
			count(READ_GONE);
		} else {
			err(EXIT_FAILURE, "%s", path);
		}
		close(fd);
	}
	h->nr = 0;
}

static void hold_vms(void)
{
	struct held held = { .table = new_table() };

	while (!is_calm()) {
		each_file(DEBUGFS, 2, hold, &held);
		sleep_usec(random_below(MSEC));
	}
}

struct sysfs_file {
	char path[128];
	uint64_t value;
};

struct sysfs {
	struct sysfs_file file[MAX_ROWS];
	unsigned int nr;
};

static void add_sysfs(struct sysfs *s, const char *dir, bool below)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[512];

	if (!d)
		err(EXIT_FAILURE, "%s", dir);
	while ((e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (e->d_type == DT_DIR && e->d_name[0] != '.' && below)
			add_sysfs(s, path, false);
		if (e->d_type != DT_REG)
			continue;
		if (s->nr == MAX_ROWS || strlen(path) >= 128)
			errx(EXIT_FAILURE, "%s: too many files", dir);
		strcpy(s->file[s->nr++].path, path);
	}
	closedir(d);
}

static bool has_end(const char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);

	return n >= m && !strcmp(path + n - m, end);
}

static void read_sysfs(void)
{
	struct sysfs *s = calloc(1, sizeof(*s));

	if (!s)
		err(EXIT_FAILURE, "sysfs");
	if (exists(SYSFS))
		add_sysfs(s, SYSFS, true);

	while (s->nr && !is_calm()) {
		for (unsigned int i = 0; i < s->nr && !is_calm(); i++) {
			struct sysfs_file *f = &s->file[i];
			uint64_t value;

			if (!read_file(f->path, text, sizeof(text)))
				err(EXIT_FAILURE, "%s", f->path);
			if (!has_end(text, "\n"))
				errx(EXIT_FAILURE, "%s: no line", f->path);
			count(READ_SYSFS);
			/* The kernel refines tsc_khz once it has measured it. */
			if (has_end(f->path, "/name") ||
			    has_end(f->path, "/isa") ||
			    has_end(f->path, "/tsc_khz") ||
			    has_end(f->path, "/enabled"))
				continue;
			text[strlen(text) - 1] = '\0';
			value = parse_number(f->path, text);
			if (value < f->value)
				errx(EXIT_FAILURE,
				     "%s went back from %" PRIu64
				     " to %" PRIu64,
				     f->path, f->value, value);
			f->value = value;
		}
	}
}

static void switch_parameters(void)
{
	static const char *const scopes[] = { "off", "vm", "host" };
	bool cpuid = exists(PARAMETERS "/exit_stats_cpuid");
	bool cpl0 = exists(PARAMETERS "/exit_stats_cpuid_cpl0");

	while (!is_calm()) {
		write_parameter("exit_stats", random_below(2) ? "1" : "0");
		count(SWITCHED);
		if (cpuid)
			write_parameter("exit_stats_cpuid",
					scopes[random_below(3)]);
		if (cpl0)
			write_parameter("exit_stats_cpuid_cpl0",
					random_below(2) ? "1" : "0");
		sleep_usec(random_below(20 * MSEC));
	}
}

/* VMs.  Each has its own process, in which a thread runs each vCPU. */

struct vcpu {
	pthread_t thread;
	int fd;
	struct kvm_run *run;
};

struct vm {
	int kvm_fd, fd;
	/* KVM has the interrupt controller, and not userspace. */
	bool irqchip;
	unsigned char *memory;
	struct vcpu vcpu[NR_VCPUS];
	/* Of the VM and then of the vCPUs, with the last two snapshots. */
	struct statsfd stats[1 + NR_VCPUS];
	uint64_t *before[1 + NR_VCPUS], *after[1 + NR_VCPUS];
};

static uint16_t guest_address(const unsigned char *code)
{
	return GUEST_CODE + (code - guest_begin);
}

static void create_vm(struct vm *vm, bool irqchip)
{
	struct kvm_userspace_memory_region region = { .memory_size =
							      GUEST_MEMORY };
	const struct kvm_pit_config pit = { 0 };
	const uint16_t nmi = guest_address(guest_nmi);

	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0)
		err(EXIT_FAILURE, "/dev/kvm");
	vm->fd = KVM_IOCTL(vm->kvm_fd, KVM_CREATE_VM, 0);
	vm->irqchip = irqchip;
	if (irqchip) {
		KVM_IOCTL(vm->fd, KVM_CREATE_IRQCHIP, 0);
		KVM_IOCTL(vm->fd, KVM_CREATE_PIT2, &pit);
	}

	vm->memory = mmap(NULL, GUEST_MEMORY, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vm->memory == MAP_FAILED)
		err(EXIT_FAILURE, "no memory for the guest");
	memcpy(vm->memory + GUEST_CODE, guest_begin, guest_end - guest_begin);
	/* The vector of the NMI, in segment 0. */
	memcpy(vm->memory + 2 * 4, &nmi, sizeof(nmi));
	region.userspace_addr = (uintptr_t)vm->memory;
	KVM_IOCTL(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static void open_stats(struct vm *vm, unsigned int i, int fd)
{
	const char *why =
		statsfd_init(&vm->stats[i], KVM_IOCTL(fd, KVM_GET_STATS_FD, 0));

	if (why)
		errx(EXIT_FAILURE, "a stats fd: %s", why);
	vm->before[i] = calloc(1, vm->stats[i].data_size);
	vm->after[i] = calloc(1, vm->stats[i].data_size);
	if (!vm->before[i] || !vm->after[i])
		err(EXIT_FAILURE, "statistics");
}

static void create_vcpu(struct vm *vm, unsigned int i,
			const unsigned char *program, uint32_t edi)
{
	const struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct kvm_regs regs = {
		.rip = guest_address(program),
		.rsp = GUEST_MEMORY - i * 0x1000,
		.rdi = edi,
		.rflags = 2,
	};
	struct vcpu *vcpu = &vm->vcpu[i];
	struct kvm_sregs sregs;
	int size;

	vcpu->fd = KVM_IOCTL(vm->fd, KVM_CREATE_VCPU, i);
	size = KVM_IOCTL(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	vcpu->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		err(EXIT_FAILURE, "kvm_run cannot be mapped");
	/* A mapping in a child would keep the VM alive. */
	if (madvise(vcpu->run, size, MADV_DONTFORK))
		err(EXIT_FAILURE, "madvise");

	KVM_IOCTL(vcpu->fd, KVM_GET_SREGS, &sregs);
	sregs.cs.base = sregs.cs.selector = 0;
	KVM_IOCTL(vcpu->fd, KVM_SET_SREGS, &sregs);
	KVM_IOCTL(vcpu->fd, KVM_SET_REGS, &regs);
	if (vm->irqchip)
		KVM_IOCTL(vcpu->fd, KVM_SET_MP_STATE, &runnable);
	open_stats(vm, 1 + i, vcpu->fd);
}

/* Run the guest until it writes to GUEST_PORT_DONE. */
static void *run_vcpu(void *data)
{
	struct vcpu *vcpu = data;
	struct kvm_run *run = vcpu->run;

	for (;;) {
		if (ioctl(vcpu->fd, KVM_RUN, 0)) {
			if (errno == EINTR)
				continue;
			err(EXIT_FAILURE, "KVM_RUN");
		}
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			if (run->io.port == GUEST_PORT_DONE)
				return NULL;
			break;
		case KVM_EXIT_MMIO:
		case KVM_EXIT_HLT:
			break;
		default:
			errx(EXIT_FAILURE,
			     "unexpected exit to userspace: KVM exit reason %" PRIu32,
			     run->exit_reason);
		}
	}
}

static void start_vcpu(struct vcpu *vcpu)
{
	int e = pthread_create(&vcpu->thread, NULL, run_vcpu, vcpu);

	if (e)
		errx(EXIT_FAILURE, "pthread_create: %s", strerror(e));
}

static const struct kvm_stats_desc *stats_desc(const struct statsfd *s,
					       uint32_t i)
{
	return (const struct kvm_stats_desc *)(s->desc + i * s->desc_size);
}

/* Take a snapshot, and see that no counter went back since the last one. */
static void read_stats(struct vm *vm, unsigned int i, enum what what)
{
	const struct statsfd *s = &vm->stats[i];
	uint64_t *data = vm->after[i];

	if (statsfd_read(s, data))
		err(EXIT_FAILURE, "a stats fd cannot be read");
	for (uint32_t n = 0; n < s->header.num_desc; n++) {
		const struct kvm_stats_desc *d = stats_desc(s, n);
		size_t first = d->offset / sizeof(uint64_t);

		if ((d->flags & KVM_STATS_TYPE_MASK) !=
		    KVM_STATS_TYPE_CUMULATIVE)
			continue;
		for (size_t k = first; k < first + d->size; k++) {
			if (data[k] < vm->before[i][k])
				errx(EXIT_FAILURE,
				     "stats fd: %s[%zu] went back from %" PRIu64
				     " to %" PRIu64,
				     d->name, k - first, vm->before[i][k],
				     data[k]);
		}
	}
	vm->after[i] = vm->before[i];
	vm->before[i] = data;
	count(what);
}

/*
 * Outlive the VM's process and read the stats fds of what is left.  They are
 * the only reference to the VM then.
 */
static void orphan(struct vm *vm, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, 0);
	for (unsigned int i = 0; i < NR_VCPUS; i++)
		close(vm->vcpu[i].fd);
	close(vm->fd);
	close(vm->kvm_fd);

	while (getppid() == parent)
		sleep_usec(MSEC);
	sleep_usec(random_below(20 * MSEC));
	for (unsigned int n = 0; n < 10; n++) {
		for (unsigned int i = 0; i <= NR_VCPUS; i++)
			read_stats(vm, i, READ_ORPHAN);
	}
	_exit(EXIT_SUCCESS);
}

static void wake_up(const struct vm *vm, unsigned int i)
{
	/* An NMI, edge triggered, to APIC ID i. */
	const struct kvm_msi msi = {
		.address_lo = 0xfee00000 | i << 12,
		.data = 4 << 8,
	};

	KVM_IOCTL(vm->fd, KVM_SIGNAL_MSI, &msi);
}

/* Live until somebody kills us. */
static void live(unsigned int place)
{
	struct vm vm = { 0 };
	unsigned long turn;
	pid_t self = getpid();

	create_vm(&vm, random_below(2));
	open_stats(&vm, 0, vm.fd);
	for (unsigned int i = 0; i < NR_VCPUS; i++) {
		create_vcpu(&vm, i, guest_loop, 0);
		start_vcpu(&vm.vcpu[i]);
		/* Readers see the VM grow. */
		sleep_usec(random_below(5 * MSEC));
	}
	count(VMS_RUN);
	atomic_store(&shared->runs[place], true);

	if (!random_below(4) && !start())
		orphan(&vm, self);

	for (turn = 0;; turn++) {
		for (unsigned int i = 0; i <= NR_VCPUS; i++)
			read_stats(&vm, i, READ_STATSFD);
		for (unsigned int i = 0; vm.irqchip && i < NR_VCPUS; i++)
			wake_up(&vm, i);
		sleep_usec(random_below(2 * MSEC));
	}
}

/* Reap one child, or none. */
static pid_t reap(int flags)
{
	int status;
	pid_t pid = waitpid(-1, &status, flags);

	if (pid > 0 && !(WIFEXITED(status) && !WEXITSTATUS(status)) &&
	    !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
		errx(EXIT_FAILURE, "process %d failed with wait status 0x%x",
		     pid, status);
	return pid;
}

static uint64_t now_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ull + ts.tv_nsec / 1000;
}

static void kill_vms(unsigned long nr)
{
	struct {
		pid_t pid;
		bool runs;
		uint64_t end;
	} vm[VMS_AT_ONCE] = { 0 };

	for (;;) {
		bool enough = atomic_load(&shared->done[VMS_RUN]) >= nr;
		uint64_t now = now_usec();
		unsigned int alive = 0;

		for (unsigned int i = 0; i < VMS_AT_ONCE; i++) {
			if (!vm[i].runs && atomic_load(&shared->runs[i])) {
				vm[i].runs = true;
				vm[i].end = now + random_below(MAX_LIFE);
			}
			if (vm[i].pid && now >= vm[i].end) {
				kill(vm[i].pid, SIGKILL);
				vm[i].pid = 0;
				count(VMS_KILLED);
			}
			if (!vm[i].pid && !enough) {
				atomic_store(&shared->runs[i], false);
				vm[i].runs = false;
				vm[i].end = UINT64_MAX;
				if (!random_below(KILLED_EARLY))
					vm[i].end =
						now + random_below(MAX_EARLY);
				vm[i].pid = start();
				if (!vm[i].pid)
					live(i);
			}
			alive += !!vm[i].pid;
		}
		if (!alive)
			return;
		while (reap(WNOHANG) > 0)
			;
		sleep_usec(MSEC);
	}
}

/* What samples accesses needs many of the same: few do little else. */
static void watch_vm(unsigned long seconds)
{
	uint64_t end;
	pid_t pid;

	atomic_store(&shared->calm, true);
	/* The switch may have stayed off. */
	sleep_usec(100 * MSEC);
	write_parameter("exit_stats", "1");
	pid = start();
	if (!pid)
		live(0);
	end = now_usec() + seconds * 1000000;
	while (now_usec() < end) {
		while (reap(WNOHANG) > 0)
			;
		sleep_usec(100 * MSEC);
	}
	kill(pid, SIGKILL);
}

/* At the end: is anything missing? */

static uint64_t stats_sum(const struct vm *vm, unsigned int i, const char *name)
{
	const struct statsfd *s = &vm->stats[i];
	uint64_t sum = 0;

	for (uint32_t n = 0; n < s->header.num_desc; n++) {
		const struct kvm_stats_desc *d = stats_desc(s, n);

		if (strcmp(d->name, name))
			continue;
		for (size_t k = 0; k < d->size; k++)
			sum += vm->before[i][d->offset / sizeof(uint64_t) + k];
		return sum;
	}
	errx(EXIT_FAILURE, "the stats fd has no %s", name);
}

/* A VM that runs to its end, tells its name, and waits for the end of @in. */
static void count_exits(int in, int out, bool on)
{
	struct vm vm = { 0 };
	char name[64], c;

	create_vm(&vm, true);
	open_stats(&vm, 0, vm.fd);
	for (unsigned int i = 0; i < NR_VCPUS; i++)
		create_vcpu(&vm, i, guest_count, LAST_CPUIDS);
	for (unsigned int i = 0; i < NR_VCPUS; i++)
		start_vcpu(&vm.vcpu[i]);
	for (unsigned int i = 0; i < NR_VCPUS; i++)
		pthread_join(vm.vcpu[i].thread, NULL);

	for (unsigned int i = 1; i <= NR_VCPUS; i++) {
		uint64_t sum, exits;

		read_stats(&vm, i, READ_STATSFD);
		sum = stats_sum(&vm, i, "exit_reason_exits");
		exits = on ? stats_sum(&vm, i, "exits") : 0;
		if (sum != exits)
			errx(EXIT_FAILURE,
			     "stats fd of vCPU %u: exit_reason_exits has %" PRIu64
			     " exits, not %" PRIu64,
			     i - 1, sum, exits);
	}

	snprintf(name, sizeof(name), "%d-%d", getpid(), vm.fd);
	if (write(out, name, sizeof(name)) != sizeof(name))
		err(EXIT_FAILURE, "pipe");
	if (read(in, &c, 1))
		err(EXIT_FAILURE, "pipe");
	_exit(EXIT_SUCCESS);
}

static unsigned int nr_vms(void)
{
	DIR *d = opendir(DEBUGFS);
	unsigned int n = 0;
	struct dirent *e;

	if (!d)
		err(EXIT_FAILURE, "%s", DEBUGFS);
	while ((e = readdir(d)))
		n += e->d_type == DT_DIR && e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void check_same(const struct table *t, const char *what,
		       const struct row *row, const struct row *than)
{
	for (unsigned int c = 0; c < t->nr_columns; c++) {
		if (row->value[c] != than->value[c])
			errx(EXIT_FAILURE,
			     "%s: %s is %" PRIu64 ", not %" PRIu64, what,
			     t->column[c], row->value[c], than->value[c]);
	}
}

/* The histograms have each exit of exit_stats, but for those still going on. */
static void check_latency(const char *vm, uint64_t exits, uint64_t pending)
{
	struct table *t = new_table();
	uint64_t handle = 0, total = 0;
	char path[128];

	snprintf(path, sizeof(path), "%s/%s/exit_latency", DEBUGFS, vm);
	if (!exists(path))
		return;
	need_table(t, path);
	for (unsigned int i = 0; i < t->nr_rows; i++) {
		const struct row *row = &t->row[i];
		uint64_t n = value_of(t, row, "exits");

		if (strstr(row->key, " handle "))
			handle += n;
		else if (strstr(row->key, " total "))
			total += n;
		else
			errx(EXIT_FAILURE, "%s: unknown time in row %s", path,
			     row->key);
	}
	if (handle != total || total > exits || total + pending < exits)
		errx(EXIT_FAILURE,
		     "%s: %" PRIu64 " exits by handle and %" PRIu64
		     " by total time, of %" PRIu64,
		     path, handle, total, exits);
	free(t);
}

static void last_vm(bool on)
{
	struct table *before = new_table(), *after = new_table();
	struct table *later = new_table(), *vm = new_table();
	struct row growth = { 0 };
	uint64_t exits, asked = 0;
	char name[64], path[128];
	int in[2], out[2];
	pid_t pid;

	write_parameter("exit_stats", on ? "1" : "0");
	need_table(before, DEBUGFS "/exit_stats");

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		err(EXIT_FAILURE, "pipe");
	pid = start();
	if (!pid) {
		close(in[1]);
		count_exits(in[0], out[1], on);
	}
	close(in[0]);
	close(out[1]);
	if (read(out[0], name, sizeof(name)) != sizeof(name))
		errx(EXIT_FAILURE, "the last VM failed");

	need_table(after, DEBUGFS "/exit_stats");
	snprintf(path, sizeof(path), "%s/%s/exit_stats", DEBUGFS, name);
	need_table(vm, path);
	check_latency(name, value_of(vm, &vm->total, "exits"), NR_VCPUS);

	snprintf(path, sizeof(path), "%s/%s/exits", DEBUGFS, name);
	if (!read_file(path, text, sizeof(text)))
		err(EXIT_FAILURE, "%s", path);
	text[strcspn(text, "\n")] = '\0';
	exits = on ? parse_number(path, text) : 0;
	if (value_of(vm, &vm->total, "exits") != exits)
		errx(EXIT_FAILURE,
		     "last VM: exit_stats has %" PRIu64
		     " exits, KVM's own count says %" PRIu64,
		     value_of(vm, &vm->total, "exits"), exits);

	for (unsigned int i = 0; i < vm->nr_rows; i++) {
		if (strcasestr(vm->row[i].key, " cpuid "))
			asked = value_of(vm, &vm->row[i], "exits");
	}
	if (asked != (on ? NR_VCPUS * LAST_CPUIDS : 0))
		errx(EXIT_FAILURE, "last VM: %" PRIu64 " CPUID exits, not %u",
		     asked, on ? NR_VCPUS * LAST_CPUIDS : 0);

	for (unsigned int c = 0; c < vm->nr_columns; c++)
		growth.value[c] =
			after->total.value[c] - before->total.value[c];
	check_same(vm, "growth of the host's TOTAL against the last VM's",
		   &growth, &vm->total);
	if (after->guest_cycles - before->guest_cycles != vm->guest_cycles)
		errx(EXIT_FAILURE,
		     "the host's guest_cycles grew by %" PRIu64
		     ", the last VM's are %" PRIu64,
		     after->guest_cycles - before->guest_cycles,
		     vm->guest_cycles);

	close(in[1]);
	close(out[0]);
	while (reap(0) != pid)
		;
	need_table(later, DEBUGFS "/exit_stats");
	check_same(later, "the host's TOTAL after the last VM's end",
		   &later->total, &after->total);

	printf("{\"last_vm\":%s,\"exits\":%" PRIu64 ",\"cpuid\":%" PRIu64 "}\n",
	       on ? "true" : "false", exits, asked);
	free(before);
	free(after);
	free(later);
	free(vm);
}

static void usage(void)
{
	puts("Usage: stress [--vms=N] [--watch=SECONDS] [--seed=N]\n"
	     "Run and kill N VMs (200) while their exit accounting is read and\n"
	     "switched off and on, and see at the end that no exit is missing.\n"
	     "Before that, on request, let one VM run on for a while with nothing\n"
	     "but readers of its and the host's tables.\n"
	     "\n"
	     "Exit status: 0 all is well, 1 something is wrong, 2 wrong\n"
	     "arguments, 77 this kernel has no exit accounting for this CPU.");
}

static unsigned long parse_option(const char *name, const char *arg)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(arg, &end, 10);
	if (errno || end == arg || *end || *arg == '-' || !n || n > 1000000) {
		warnx("--%s must be from 1 to 1000000", name);
		exit(EXIT_USAGE);
	}
	return n;
}

int main(int argc, char **argv)
{
	enum { OPT_VMS = 1, OPT_WATCH, OPT_SEED, OPT_HELP };
	static const struct option options[] = {
		{ "vms", required_argument, NULL, OPT_VMS },
		{ "watch", required_argument, NULL, OPT_WATCH },
		{ "seed", required_argument, NULL, OPT_SEED },
		{ "help", no_argument, NULL, OPT_HELP },
		{ 0 },
	};
	static void (*const jobs[])(void) = { read_host, read_vms, hold_vms,
					      read_sysfs, switch_parameters };
	unsigned long vms = 200, watch = 0;
	int opt;

	seed = time(NULL);
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case OPT_VMS:
			vms = parse_option("vms", optarg);
			break;
		case OPT_WATCH:
			watch = parse_option("watch", optarg);
			break;
		case OPT_SEED:
			seed = parse_option("seed", optarg);
			break;
		case OPT_HELP:
			usage();
			return EXIT_SUCCESS;
		default:
			return EXIT_USAGE;
		}
	}

	if (!exists(DEBUGFS "/exit_stats"))
		errx(EXIT_NO_SUPPORT,
		     "there is no " DEBUGFS
		     "/exit_stats: this kernel has no exit accounting for this CPU");

	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		err(EXIT_FAILURE, "prctl");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(EXIT_FAILURE, "mmap");

	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		if (!start()) {
			jobs[i]();
			_exit(EXIT_SUCCESS);
		}
	}
	kill_vms(vms);
	if (watch)
		watch_vm(watch);
	atomic_store(&shared->stop, true);
	while (reap(0) > 0)
		;

	if (nr_vms())
		errx(EXIT_FAILURE, "%u VMs are left though all were killed",
		     nr_vms());
	last_vm(true);
	last_vm(false);
	write_parameter("exit_stats", "1");

	for (int i = 0; i < NR_WHAT; i++)
		printf("%s\"%s\":%lu", i ? "," : "{", what_names[i],
		       atomic_load(&shared->done[i]));
	puts("}");
	return EXIT_SUCCESS;
}
