// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "source/vmlist.h"
#include "source/vmname.h"

static int is_vm_dir(const struct dirent *entry)
{
	return is_vm_id(entry->d_name);
}

/*
 * Who the VM is: a directory's inode and the start of a process do not come
 * again.  False if it is gone.
 */
static bool identify(struct exit_scope *vm, const char *id,
		     const struct source_setup *setup)
{
	char path[PATH_MAX];
	struct stat st;

	*vm = (struct exit_scope){ .kind = SCOPE_VM };
	strcpy(vm->vm, id);

	snprintf(path, sizeof(path), "%s/kvm/%s", setup->debugfs, id);
	if (stat(path, &st))
		return false;
	vm->id[0] = st.st_ino;
	vm_identify(vm, setup->procfs,
		    st.st_ctim.tv_sec * 1000000000ULL + st.st_ctim.tv_nsec);
	return true;
}

bool vmlist_read(const struct source_setup *setup, struct exit_scan *vms)
{
	struct dirent **dirs = NULL;
	struct exit_scope *vm = NULL;
	char path[PATH_MAX];
	int nr, i;

	snprintf(path, sizeof(path), "%s/kvm", setup->debugfs);
	nr = scandir(path, &dirs, is_vm_dir, versionsort);
	if (nr < 0)
		return false;
	for (i = 0; i < nr; i++) {
		vm = scan_add(vms);
		if (!vm)
			break;
		if (!identify(vm, dirs[i]->d_name, setup))
			scan_drop_last(vms);
	}
	while (nr-- > 0)
		free(dirs[nr]);
	free(dirs);
	if (i && !vm)
		errno = ENOMEM;
	return !i || vm;
}
