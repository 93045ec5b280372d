// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/parse.h"
#include "source/vmname.h"

/* What is beyond that has no -name that anybody reads. */
#define MAX_CMDLINE (1 << 20)
/* The inode of the first namespace of processes, include/linux/proc_ns.h. */
#define PROC_PID_INIT_INO 0xEFFFFFFCU
/* Ticks are coarse, and so are the times of inodes. */
#define SLACK 2000000000ULL

struct cmdline {
	const char *at, *end;
	/* the last part of what runs */
	const char *program;
};

/* The words of a command line, each with a '\0' behind it; NULL at its end. */
static const char *next_word(struct cmdline *cmdline)
{
	const char *word = cmdline->at;

	if (word >= cmdline->end)
		return NULL;
	cmdline->at += strlen(word) + 1;
	return word;
}

/*
 * One of QEMU's comma-separated values, with a comma in it written twice.
 * Returns what follows it.
 */
static const char *copy_element(char *element, const char *text)
{
	for (; *text && (*text != ',' || text[1] == ','); text++) {
		if (*text == ',')
			text++;
		*element++ = *text;
	}
	*element = '\0';
	return *text ? text + 1 : text;
}

/* NAME or guest=NAME, and other values after or before that. */
static void copy_qemu_name(char *name, const char *value)
{
	char *element = malloc(strlen(value) + 1);
	const char *next, *found;
	bool first = true;

	for (; element && *value; value = next, first = false) {
		next = copy_element(element, value);
		found = !strncmp(element, "guest=", 6) ? element + 6 :
			first && !strchr(element, '=') ? element :
							 "";
		if (*found)
			scope_set_name(name, found, strlen(found));
	}
	free(element);
}

static bool starts_with(const char *text, const char *beginning)
{
	return !strncmp(text, beginning, strlen(beginning));
}

static bool is_qemu(const char *program)
{
	/* .qemu-system-x86_64-wrapped, too */
	return strstr(program, "qemu") || !strcmp(program, "kvm");
}

/* The value of a kernel's command line is not an option, whatever it looks like. */
static bool takes_command_line(const char *word)
{
	static const char *const options[] = {
		"-append",  "--append",		"-cmdline", "--cmdline",
		"--params", "--kernel-cmdline", "-p",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(options); i++) {
		if (!strcmp(word, options[i]))
			return true;
	}
	return false;
}

/* What follows @name, which has one dash or two, in @word; or NULL. */
static const char *after_option(const char *word, const char *name)
{
	if (*word != '-')
		return NULL;
	word += word[1] == '-' ? 2 : 1;
	return starts_with(word, name) ? word + strlen(name) : NULL;
}

/* QEMU's are words of their own, and the last one counts. */
static void read_qemu(struct cmdline *cmdline, struct exit_scope *vm)
{
	const char *word, *value, *rest;
	uint64_t number;

	while ((word = next_word(cmdline))) {
		if (takes_command_line(word)) {
			next_word(cmdline);
			continue;
		}
		rest = after_option(word, "name");
		if (rest && !*rest) {
			value = next_word(cmdline);
			if (value)
				copy_qemu_name(vm->name, value);
			continue;
		}
		/* Proxmox's */
		if (strcmp(word, "-id"))
			continue;
		value = next_word(cmdline);
		if (value && strlen(value) < sizeof(vm->vmid) &&
		    parse_u64(value, UINT64_MAX, &number))
			strcpy(vm->vmid, value);
	}
}

/* --id and --name of Firecracker, crosvm, kvmtool: a word behind it, or after '='. */
static void read_other(struct cmdline *cmdline, struct exit_scope *vm)
{
	static const char *const names[] = { "id", "name" };
	const char *word, *value, *rest;
	size_t i;

	while ((word = next_word(cmdline))) {
		if (takes_command_line(word)) {
			next_word(cmdline);
			continue;
		}
		for (i = 0; i < ARRAY_SIZE(names); i++) {
			rest = after_option(word, names[i]);
			if (!rest || (*rest && *rest != '='))
				continue;
			/* -id is Proxmox's, wherever else it stands. */
			if (!*rest && !strcmp(word, "-id"))
				continue;
			value = *rest ? rest + 1 : next_word(cmdline);
			if (value && *value && word[1] == '-')
				scope_set_name(vm->name, value, strlen(value));
			else if (value)
				copy_qemu_name(vm->name, value);
			break;
		}
	}
}

static char *read_proc(const char *procfs, const char *pid, const char *file,
		       size_t *len)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/%s", procfs, pid, file);
	return read_file(path, MAX_CMDLINE, len);
}

static void read_name(struct exit_scope *vm, const char *procfs,
		      const char *pid)
{
	struct cmdline cmdline;
	const char *program, *slash;
	size_t len;
	char *text = read_proc(procfs, pid, "cmdline", &len);

	if (text) {
		cmdline = (struct cmdline){ .at = text, .end = text + len };
		program = next_word(&cmdline);
		slash = program ? strrchr(program, '/') : NULL;
		if (program && is_qemu(slash ? slash + 1 : program))
			read_qemu(&cmdline, vm);
		else if (program)
			read_other(&cmdline, vm);
		free(text);
	}
	if (*vm->name)
		return;

	text = read_proc(procfs, pid, "comm", &len);
	if (text)
		scope_set_name(vm->name, text, strcspn(text, "\n"));
	free(text);
}

/* In clock ticks after boot, or 0. */
static uint64_t read_start(const char *procfs, const char *pid)
{
	size_t len;
	char *text = read_proc(procfs, pid, "stat", &len);
	uint64_t start = 0;
	char *p;

	/* The command, in parentheses, may have anything in it. */
	p = text ? strrchr(text, ')') : NULL;
	if (p)
		sscanf(p + 1,
		       " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64,
		       &start);
	free(text);
	return start;
}

/* The process that has the thread: Cloud Hypervisor makes its VM in one. */
static uint32_t read_process(const char *procfs, const char *thread)
{
	size_t len;
	char *text = read_proc(procfs, thread, "status", &len);
	const char *line = text ? strstr(text, "\nTgid:") : NULL;
	uint32_t pid = 0;

	if (line)
		sscanf(line, "\nTgid: %" SCNu32, &pid);
	free(text);
	return pid;
}

/* Does @procfs number processes as KVM does, which sees those of the whole host? */
static bool is_of_host(const char *procfs)
{
	char path[PATH_MAX];
	struct stat st;

	/* Who may not see that is told by what follows. */
	snprintf(path, sizeof(path), "%s/1/ns/pid", procfs);
	return stat(path, &st) || st.st_ino == PROC_PID_INIT_INO;
}

/*
 * Has it begun after @made?  Then it is another process with the same number.  A VM
 * from before the boot is one of a clock that was set since, and a process that is yet
 * to begin one of another machine, whose files were copied: both tell nothing.
 */
static bool is_younger(uint64_t start, uint64_t made)
{
	const uint64_t up = clock_now(CLOCK_BOOTTIME);
	const uint64_t booted = clock_now(CLOCK_REALTIME) - up;
	const double since_boot = start * 1e9 / sysconf(_SC_CLK_TCK);

	return made > booted && since_boot <= up &&
	       since_boot > made - booted + SLACK;
}

bool vm_identify(struct exit_scope *vm, const char *procfs, uint64_t made)
{
	char thread[VM_ID_SIZE], pid[16];
	uint64_t start;

	snprintf(thread, sizeof(thread), "%.*s", (int)strcspn(vm->vm, "-"),
		 vm->vm);
	if (!is_of_host(procfs))
		return true;
	start = read_start(procfs, thread);
	if (!start || (made && is_younger(start, made)))
		return false;

	vm->id[1] = start;
	vm->pid = read_process(procfs, thread);
	if (!vm->pid)
		vm->pid = strtoul(thread, NULL, 10);
	snprintf(pid, sizeof(pid), "%" PRIu32, vm->pid);
	read_name(vm, procfs, pid);
	return true;
}
