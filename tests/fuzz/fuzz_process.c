// SPDX-License-Identifier: GPL-2.0
/* A VMM's process: its command line, its comm, its stat and its status, in this order. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"
#include "model/scope.h"
#include "source/vmname.h"

static const char *const files[] = { "cmdline", "comm", "stat", "status" };

/* A name is what a terminal, a spreadsheet and a database can all show. */
static void check_name(const char *name)
{
	size_t len = strnlen(name, VM_NAME_SIZE);

	check(len < VM_NAME_SIZE);
	check(is_clean_text(name, len) && !strchr(name, '\n'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char dir[300], path[320];
	struct exit_scope vm = { .kind = SCOPE_VM, .vm = "7-11" }, again;
	size_t i, len;
	char *text;
	int fd;

	snprintf(dir, sizeof(dir), "%s/7", work_dir());
	mkdir(dir, 0755);
	for (i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		text = next_text(&data, &size, &len);
		if (!text) {
			unlink(path);
			continue;
		}
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
		check(fd >= 0 && write(fd, text, len) == (ssize_t)len);
		close(fd);
		free(text);
	}

	again = vm;
	vm_identify(&vm, work_dir(), 0);
	vm_identify(&again, work_dir(), 0);
	check_name(vm.name);
	check(strspn(vm.vmid, "0123456789") == strlen(vm.vmid));
	check(!memcmp(&vm, &again, sizeof(vm)));
	return 0;
}
