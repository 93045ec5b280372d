// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "model/scope.h"
#include "source/vmname.h"

/* What is beyond that has no -name that anybody reads. */
#define MAX_CMDLINE (1 << 20)

static void copy_name(char *name, const char *text)
{
	text_printable(name, VM_NAME_SIZE, text, strlen(text));
}

/*
 * One of QEMU's comma-separated values, with a comma in it written twice.
 * Returns what follows it.
 */
static const char *copy_element(char *element, size_t size, const char *text)
{
	size_t len = 0;

	for (; *text && (*text != ',' || text[1] == ','); text++) {
		if (*text == ',')
			text++;
		if (len < size - 1)
			element[len++] = *text;
	}
	element[len] = '\0';
	return *text ? text + 1 : text;
}

/* NAME or guest=NAME, and other values after or before that. */
static bool copy_qemu_name(char *name, const char *value)
{
	char element[4 * VM_NAME_SIZE];
	const char *next;
	bool first = true;

	for (; *value; value = next, first = false) {
		next = copy_element(element, sizeof(element), value);
		if (!strncmp(element, "guest=", 6))
			copy_name(name, element + 6);
		else if (first && !strchr(element, '='))
			copy_name(name, element);
		else
			continue;
		return *name;
	}
	return false;
}

static bool is_option(const char *arg, const char *name)
{
	if (*arg != '-')
		return false;
	arg += arg[1] == '-' ? 2 : 1;
	return !strcmp(arg, name);
}

/* The words of a command line, each with a '\0' behind it. */
static bool find_name(const char *cmdline, size_t len, char *name)
{
	const char *arg, *value, *end = cmdline + len;

	for (arg = cmdline; arg < end; arg = value) {
		value = arg + strlen(arg) + 1;
		if (!strncmp(arg, "--id=", 5) && arg[5]) {
			copy_name(name, arg + 5);
			return true;
		}
		if (value >= end)
			break;
		if (is_option(arg, "name") && copy_qemu_name(name, value))
			return true;
		if (!strcmp(arg, "--id") && *value) {
			copy_name(name, value);
			return true;
		}
	}
	return false;
}

static char *read_proc(const char *procfs, const char *pid, const char *file,
		       size_t *len)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/%s", procfs, pid, file);
	return read_file(path, MAX_CMDLINE, len);
}

void vm_name(const char *procfs, const char *pid, char *name)
{
	size_t len;
	char *text = read_proc(procfs, pid, "cmdline", &len);
	bool found = text && find_name(text, len, name);

	free(text);
	if (found)
		return;

	*name = '\0';
	text = read_proc(procfs, pid, "comm", &len);
	if (text)
		text_printable(name, VM_NAME_SIZE, text, strcspn(text, "\n"));
	free(text);
}

uint64_t vm_start_time(const char *procfs, const char *pid)
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
