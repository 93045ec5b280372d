// SPDX-License-Identifier: GPL-2.0
/* The counters as the host reads them, from debugfs. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exitstat.h"
#include "file.h"
#include "snapshot.h"

/* All reasons there are need some 10 KiB. */
#define MAX_FILE_SIZE (1 << 20)
#define MAX_LISTED_VMS 16

static void set_host_path(char *path, const char *debugfs)
{
	snprintf(path, PATH_MAX, "%s/kvm/exit_stats", debugfs);
}

/* Where debugfs is to be mounted but is not, there is an empty directory. */
static bool is_empty_dir(const char *path)
{
	struct dirent *entry;
	DIR *dir = opendir(path);
	bool empty = true;

	if (!dir)
		return false;

	while (empty && (entry = readdir(dir)))
		empty = !strcmp(entry->d_name, ".") ||
			!strcmp(entry->d_name, "..");
	closedir(dir);
	return empty;
}

enum trouble {
	NO_PERMISSION,
	FORBIDDEN,
	NOT_MOUNTED,
	NO_KVM,
	NO_FILE,
	OTHER_TROUBLE,
};

/* Why the host's file cannot be opened, from the outermost cause on. */
static enum trouble find_trouble(const char *debugfs, int error)
{
	char kvm[PATH_MAX];

	if (error == EACCES)
		return NO_PERMISSION;
	if (error == EPERM)
		return FORBIDDEN;
	if (error != ENOENT && error != ENOTDIR)
		return OTHER_TROUBLE;

	if (!is_dir(debugfs) || is_empty_dir(debugfs))
		return NOT_MOUNTED;

	snprintf(kvm, sizeof(kvm), "%s/kvm", debugfs);
	return is_dir(kvm) ? NO_FILE : NO_KVM;
}

static int explain_host(const char *debugfs, const char *path, int error)
{
	switch (find_trouble(debugfs, error)) {
	case NO_PERMISSION:
		return fail(STATUS_ERROR,
			    "no permission to read %s: run exitstat as root",
			    path);
	case FORBIDDEN:
		return fail(
			STATUS_ERROR,
			"the kernel forbids reading %s, even to root: kernel lockdown may be the reason, see /sys/kernel/security/lockdown",
			path);
	case NOT_MOUNTED:
		return fail(
			STATUS_ERROR,
			"debugfs is not mounted on %s: mount -t debugfs none %s",
			debugfs, debugfs);
	case NO_KVM:
		return fail(
			STATUS_ERROR,
			"the module kvm is not loaded: modprobe kvm_intel or modprobe kvm_amd");
	case NO_FILE:
		return fail(
			STATUS_UNSUPPORTED,
			"there is no %s: load kvm_intel or kvm_amd, of a kernel whose KVM has exit accounting",
			path);
	case OTHER_TROUBLE:
		break;
	}
	return fail(STATUS_ERROR, "cannot read %s: %s", path, strerror(error));
}

bool debugfs_is_readable(const char *debugfs, char *why, size_t size)
{
	char path[PATH_MAX];
	int fd;

	set_host_path(path, debugfs);
	fd = open_file(path);
	if (fd >= 0) {
		close(fd);
		return true;
	}

	switch (find_trouble(debugfs, errno)) {
	case NO_PERMISSION:
		snprintf(why, size, "no permission for %s", path);
		return false;
	case FORBIDDEN:
		snprintf(why, size, "the kernel forbids %s", path);
		return false;
	case NOT_MOUNTED:
		snprintf(why, size, "it is not mounted on %s", debugfs);
		return false;
	case NO_KVM:
	case NO_FILE:
		snprintf(why, size, "there is no %s", path);
		return false;
	case OTHER_TROUBLE:
		break;
	}
	return true;
}

static bool is_digits(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]))
			return false;
	}
	return len;
}

/* <pid>-<fd>, or with @pid_alone <pid> */
static bool is_vm_id(const char *id, bool pid_alone)
{
	size_t len = strcspn(id, "-");

	if (strlen(id) >= EXIT_VM_SIZE || !is_digits(id, len))
		return false;
	if (!id[len])
		return pid_alone;
	return is_digits(id + len + 1, strlen(id + len + 1));
}

static int is_vm_dir(const struct dirent *entry)
{
	return is_vm_id(entry->d_name, false);
}

static bool matches(const char *vm, const char *id)
{
	size_t len = strlen(id);

	return !strncmp(vm, id, len) && (!vm[len] || vm[len] == '-');
}

static int list_vms(const char *problem, const char *id, struct dirent **vms,
		    int nr_vms)
{
	char list[MAX_LISTED_VMS * (EXIT_VM_SIZE + 2) + 32];
	size_t len = 0;
	int i;

	for (i = 0; i < nr_vms && i < MAX_LISTED_VMS; i++)
		len += snprintf(list + len, sizeof(list) - len, "%s%s",
				i ? ", " : "", vms[i]->d_name);
	if (i < nr_vms)
		snprintf(list + len, sizeof(list) - len, " and %d more",
			 nr_vms - i);

	return fail(STATUS_ERROR, "%s %s: choose one of %s", problem, id, list);
}

/* Put the one of the VMs that the user means into @vm. */
static int choose_vm(const char *id, struct dirent **vms, int nr_vms, char *vm)
{
	int i, first = 0, nr_found = 0;

	for (i = 0; i < nr_vms; i++) {
		if (!matches(vms[i]->d_name, id))
			continue;
		/* Sorted by process, so those found are neighbours. */
		if (!nr_found++)
			first = i;
	}

	if (nr_found > 1)
		return list_vms("there are several VMs of process", id,
				vms + first, nr_found);
	if (!nr_found && nr_vms)
		return list_vms("there is no VM", id, vms, nr_vms);
	if (!nr_found)
		return fail(STATUS_ERROR,
			    "there is no VM %s: no VM is running now", id);

	strcpy(vm, vms[first]->d_name);
	return STATUS_OK;
}

static int find_vm(const char *debugfs, const char *id, char *vm)
{
	char path[PATH_MAX];
	struct dirent **vms;
	int nr_vms, status;

	set_host_path(path, debugfs);
	if (access(path, F_OK))
		return explain_host(debugfs, path, errno);

	snprintf(path, sizeof(path), "%s/kvm", debugfs);
	nr_vms = scandir(path, &vms, is_vm_dir, versionsort);
	if (nr_vms < 0)
		return explain_host(debugfs, path, errno);

	status = choose_vm(id, vms, nr_vms, vm);
	while (nr_vms--)
		free(vms[nr_vms]);
	free(vms);
	return status;
}

int debugfs_read_host(struct exit_snapshot *snap, const char *debugfs)
{
	char path[PATH_MAX];
	char *text;
	size_t len;
	int status;

	set_host_path(path, debugfs);
	text = read_file(path, MAX_FILE_SIZE, &len);
	if (!text)
		return explain_host(debugfs, path, errno);

	status = snapshot_parse(snap, path, "host", text, len);
	free(text);
	return status;
}

int debugfs_read_vm(struct exit_snapshot *snap, const char *debugfs,
		    const char *id)
{
	int error, status;
	char path[PATH_MAX], dir[PATH_MAX];
	size_t len;
	char *text;

	if (!is_vm_id(id, true))
		return fail(
			STATUS_USAGE,
			"'%s' is not a VM: give <pid>-<fd> or <pid>, see 'exitstat host --help'",
			id);

	status = find_vm(debugfs, id, snap->vm);
	if (status)
		return status;

	snprintf(dir, sizeof(dir), "%s/kvm/%s", debugfs, snap->vm);
	snprintf(path, sizeof(path), "%s/kvm/%s/exit_stats", debugfs, snap->vm);
	text = read_file(path, MAX_FILE_SIZE, &len);
	error = errno;
	/* debugfs gives EIO for a file that was removed while it was open. */
	if (!text && (error == ENOENT || !is_dir(dir)))
		return fail(
			STATUS_ERROR,
			"VM %s ended before it was read: only the host's totals, 'exitstat host', still have its exits",
			snap->vm);
	if (!text)
		return explain_host(debugfs, path, error);

	status = snapshot_parse(snap, path, "vm", text, len);
	free(text);
	return status;
}
