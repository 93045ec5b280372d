// SPDX-License-Identifier: GPL-2.0
/* What an operator calls a VM, from the command line of its VMM. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/file.h"
#include "model/scan.h"

/* What is beyond that has no -name that anybody reads. */
#define MAX_CMDLINE (1 << 20)

/* Copy @len bytes that anybody may have chosen. */
void vm_copy_name(char *name, const char *text, size_t len)
{
	size_t in = 0, out = 0, size, i;
	mbstate_t state = {};
	wchar_t c;

	while (in < len) {
		size = mbrtowc(&c, text + in, len - in, &state);
		if (!size || size > len - in || c < ' ' || c == 0x7f ||
		    (c >= 0x80 && c < 0xa0)) {
			memset(&state, 0, sizeof(state));
			size = size && size <= len - in ? size : 1;
			if (out + 1 >= VM_NAME_SIZE)
				break;
			name[out++] = '?';
		} else {
			if (out + size >= VM_NAME_SIZE)
				break;
			for (i = 0; i < size; i++)
				name[out++] = text[in + i];
		}
		in += size;
	}
	name[out] = '\0';
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
			vm_copy_name(name, element + 6, strlen(element + 6));
		else if (first && !strchr(element, '='))
			vm_copy_name(name, element, strlen(element));
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
			vm_copy_name(name, arg + 5, strlen(arg + 5));
			return true;
		}
		if (value >= end)
			break;
		if (is_option(arg, "name") && copy_qemu_name(name, value))
			return true;
		if (!strcmp(arg, "--id") && *value) {
			vm_copy_name(name, value, strlen(value));
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
		vm_copy_name(name, text, strcspn(text, "\n"));
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
