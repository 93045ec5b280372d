// SPDX-License-Identifier: GPL-2.0
/* The counters as the host reads them, from debugfs. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exitstat.h"
#include "snapshot.h"

/* All reasons there are need some 10 KiB. */
#define MAX_FILE_SIZE (1 << 20)
#define MAX_LISTED_VMS 16

static bool is_dir(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
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

/* Tell why the host's file cannot be opened, from the outermost cause on. */
static int explain_host(const char *debugfs, const char *path, int error)
{
	char kvm[PATH_MAX];

	if (error == EACCES)
		return fail(STATUS_ERROR,
			    "no permission to read %s: run exitstat as root",
			    path);
	if (error == EPERM)
		return fail(
			STATUS_ERROR,
			"the kernel forbids reading %s, even to root: kernel lockdown may be the reason, see /sys/kernel/security/lockdown",
			path);
	if (error != ENOENT && error != ENOTDIR)
		return fail(STATUS_ERROR, "cannot read %s: %s", path,
			    strerror(error));

	if (!is_dir(debugfs) || is_empty_dir(debugfs))
		return fail(
			STATUS_ERROR,
			"debugfs is not mounted on %s: mount -t debugfs none %s",
			debugfs, debugfs);

	snprintf(kvm, sizeof(kvm), "%s/kvm", debugfs);
	if (!is_dir(kvm))
		return fail(
			STATUS_ERROR,
			"the module kvm is not loaded: modprobe kvm_intel or modprobe kvm_amd");

	return fail(
		STATUS_UNSUPPORTED,
		"there is no %s: load kvm_intel or kvm_amd, of a kernel whose KVM has exit accounting",
		path);
}

/* Read a whole file, and put a '\0' after it.  NULL and errno on error. */
static char *read_file(const char *path, size_t *len)
{
	char *buf = NULL, *new;
	size_t size = 0;
	struct stat st;
	ssize_t n;
	int fd, error;

	/* Whatever the path leads to, do not wait for it. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return NULL;

	if (fstat(fd, &st))
		goto err;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		goto err;
	}

	*len = 0;
	do {
		if (size - *len < 4096) {
			if (size > MAX_FILE_SIZE) {
				errno = EFBIG;
				goto err;
			}
			size = size ? 2 * size : 16384;
			new = realloc(buf, size);
			if (!new)
				goto err;
			buf = new;
		}

		n = read(fd, buf + *len, size - *len - 1);
		if (n > 0)
			*len += n;
	} while (n > 0 || (n < 0 && errno == EINTR));

	if (n < 0)
		goto err;

	close(fd);
	buf[*len] = '\0';
	return buf;
err:
	error = errno;
	close(fd);
	free(buf);
	errno = error;
	return NULL;
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

	snprintf(path, sizeof(path), "%s/kvm/exit_stats", debugfs);
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

static int too_long(const char *debugfs)
{
	return strlen(debugfs) > PATH_MAX - EXIT_VM_SIZE - 32 ?
		       fail(STATUS_USAGE, "the path to debugfs is too long") :
		       STATUS_OK;
}

int debugfs_read_host(struct exit_snapshot *snap, const char *debugfs)
{
	int status = too_long(debugfs);
	char path[PATH_MAX];
	size_t len;
	char *text;

	if (status)
		return status;

	snprintf(path, sizeof(path), "%s/kvm/exit_stats", debugfs);
	text = read_file(path, &len);
	if (!text)
		return explain_host(debugfs, path, errno);

	status = snapshot_parse(snap, path, "host", text, len);
	free(text);
	return status;
}

int debugfs_read_vm(struct exit_snapshot *snap, const char *debugfs,
		    const char *id)
{
	int error, status = too_long(debugfs);
	char path[PATH_MAX], dir[PATH_MAX];
	size_t len;
	char *text;

	if (status)
		return status;
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
	text = read_file(path, &len);
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
