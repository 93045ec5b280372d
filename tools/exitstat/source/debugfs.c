// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/file.h"
#include "base/message.h"
#include "base/parse.h"
#include "source/debugfs.h"
#include "source/kvmlatency.h"
#include "source/kvmstats.h"
#include "source/vmlist.h"

/* All reasons there are need some 10 KiB. */
#define MAX_FILE_SIZE (1 << 20)

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
		if (!is_dir(debugfs))
			return fail(
				STATUS_ERROR,
				"there is no directory %s: name with --debugfs where debugfs is mounted",
				debugfs);
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
			"there is no %s: load kvm_intel or kvm_amd of a kernel whose KVM has exit accounting, as the package exitstat-kvm-dkms brings it, or let 'exitstat attach' count by eBPF",
			path);
	case OTHER_TROUBLE:
		break;
	}
	return fail(STATUS_ERROR, "cannot read %s: %s", path, strerror(error));
}

/*
 * False if this user cannot read debugfs or it has nothing, and @why then gets a
 * few words.  True leaves all other errors to those who read it.
 */
static bool is_readable(const char *debugfs, char *why, size_t size)
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

/* A file of debugfs that may go with its VM at any time. */
struct vm_file {
	const struct source_setup *setup;
	char path[PATH_MAX];
	char *text;
	size_t len;
};

/*
 * Read a VM's or vCPU's @name.  False if it is gone; *status is what else went
 * wrong.
 */
static bool read_vm_file(struct vm_file *file, const char *vm, const char *vcpu,
			 const char *name, int *status)
{
	/* Before 0.1 was released they had the names of the host's files. */
	const char *const scopes[] = { *vcpu ? "vcpu_" : "vm_", "" };
	int error = ENOENT;
	size_t i;

	*status = STATUS_OK;
	for (i = 0; i < ARRAY_SIZE(scopes) && error == ENOENT; i++) {
		snprintf(file->path, sizeof(file->path), "%s/kvm/%s%s/%s%s",
			 file->setup->debugfs, vm, vcpu, scopes[i], name);
		file->text = read_file(file->path, MAX_FILE_SIZE, &file->len);
		if (file->text)
			return true;
		error = errno;
	}
	/* debugfs gives EIO for a file that was removed while it was open. */
	if (error == ENOENT || !file_exists(file->path))
		return false;
	*status = explain_host(file->setup->debugfs, file->path, error);
	return true;
}

/* False if the VM is gone. */
static bool read_scope(struct exit_scope *scope, const char *vcpu,
		       const struct source_setup *setup, bool latency,
		       int *status)
{
	struct vm_file file = { .setup = setup };

	if (!read_vm_file(&file, scope->vm, vcpu, "exit_stats", status))
		return false;
	if (*status)
		return true;
	*status = kvmstats_parse(&scope->snap, file.path, scope_name(scope),
				 file.text, file.len);
	free(file.text);
	if (*status || !latency)
		return true;

	/* It is not there if the module was loaded without histograms. */
	if (!read_vm_file(&file, scope->vm, vcpu, "exit_latency", status) ||
	    *status)
		return true;
	*status = kvmlatency_parse(&scope->latency, file.path,
				   scope_name(scope), file.text, file.len);
	free(file.text);
	return true;
}

/* vcpu<N> */
static bool parse_vcpu(const char *name, uint32_t *nr)
{
	char again[VM_ID_SIZE];
	uint64_t value;

	if (strncmp(name, "vcpu", 4) ||
	    !parse_u64(name + 4, UINT32_MAX, &value))
		return false;
	*nr = value;
	snprintf(again, sizeof(again), "vcpu%u", *nr);
	return !strcmp(name, again);
}

static int is_vcpu_dir(const struct dirent *entry)
{
	uint32_t nr;

	return parse_vcpu(entry->d_name, &nr);
}

static void free_list(struct dirent **list, int nr)
{
	while (nr-- > 0)
		free(list[nr]);
	free(list);
}

/* The names of @dir's entries, none if it is gone. */
static int list_dir(const char *dir, int (*filter)(const struct dirent *),
		    struct dirent ***list)
{
	int nr;

	*list = NULL;
	nr = scandir(dir, list, filter, versionsort);
	return nr > 0 ? nr : 0;
}

static int read_vcpu(struct exit_scan *scan, const struct exit_scope *vm,
		     const char *name, const struct source_setup *setup,
		     bool latency)
{
	struct exit_scope *scope = scan_add(scan);
	char dir[NAME_MAX + 2];
	int status;

	if (!scope)
		return out_of_memory();

	scope_copy_empty(scope, vm);
	scope->kind = SCOPE_VCPU;
	scope->nr_vcpus = 0;
	parse_vcpu(name, &scope->vcpu);

	snprintf(dir, sizeof(dir), "/%s", name);
	if (!read_scope(scope, dir, setup, latency, &status))
		scan_drop_last(scan);
	return status;
}

static int read_vcpus(struct exit_scan *scan, const struct exit_scope *vm,
		      const struct source_setup *setup,
		      const struct exit_selection *sel, struct dirent **list,
		      int nr)
{
	uint32_t vcpu;
	int i, status;

	for (i = 0; i < nr; i++) {
		parse_vcpu(list[i]->d_name, &vcpu);
		if (sel->vcpu >= 0 && sel->vcpu != vcpu)
			continue;
		status = read_vcpu(scan, vm, list[i]->d_name, setup,
				   sel->vcpu_latency);
		if (status)
			return status;
	}
	return STATUS_OK;
}

/* One VM, of which @vm has all but the counters, and its vCPUs. */
static int read_vm(struct exit_scan *scan, struct exit_scope *vm,
		   const struct source_setup *setup,
		   const struct exit_selection *sel)
{
	const bool details = !sel->details_of ||
			     !strcmp(sel->details_of, vm->vm);
	const bool vcpus = sel->vcpus && details;
	struct dirent **list = NULL;
	struct exit_scope *scope;
	char dir[PATH_MAX];
	int status, nr = 0;

	if (vcpus || sel->nr_vcpus) {
		snprintf(dir, sizeof(dir), "%s/kvm/%s", setup->debugfs, vm->vm);
		nr = list_dir(dir, is_vcpu_dir, &list);
		vm->nr_vcpus = nr;
	}

	if (sel->vms) {
		scope = scan_add(scan);
		status = scope ? STATUS_OK : out_of_memory();
		if (scope) {
			*scope = *vm;
			if (!read_scope(scope, "", setup,
					sel->vm_latency && details, &status))
				scan_drop_last(scan);
		}
		if (status)
			goto out;
	}

	status = vcpus ? read_vcpus(scan, vm, setup, sel, list, nr) : STATUS_OK;
out:
	free_list(list, nr);
	return status;
}

static int read_vms(struct exit_scan *scan, const struct source_setup *setup,
		    const struct exit_selection *sel, struct exit_scan *vms)
{
	int status = selection_check_vms(sel, vms);
	size_t i;

	for (i = 0; !status && i < vms->nr_scopes; i++) {
		if (selection_has_vm(sel, &vms->scopes[i]))
			status = read_vm(scan, &vms->scopes[i], setup, sel);
	}
	return status ? status : selection_check_read(sel, vms, scan);
}

static int read_all_vms(struct exit_scan *scan,
			const struct source_setup *setup,
			const struct exit_selection *sel)
{
	struct exit_scan vms = {};
	char path[PATH_MAX];
	int status;

	set_host_path(path, setup->debugfs);
	if (!file_exists(path))
		return explain_host(setup->debugfs, path, errno);

	snprintf(path, sizeof(path), "%s/kvm", setup->debugfs);
	if (vmlist_read(setup, &vms))
		status = read_vms(scan, setup, sel, &vms);
	else if (errno == ENOMEM)
		status = out_of_memory();
	else
		status = explain_host(setup->debugfs, path, errno);
	scan_free(&vms);
	return status;
}

static int read_host_file(const char *debugfs, const char *name, char *path,
			  char **text, size_t *len)
{
	snprintf(path, PATH_MAX, "%s/kvm/%s", debugfs, name);
	*text = read_file(path, MAX_FILE_SIZE, len);
	return *text ? STATUS_OK : explain_host(debugfs, path, errno);
}

static int read_host(struct exit_scope *scope, const char *debugfs,
		     bool latency)
{
	char path[PATH_MAX];
	char *text;
	size_t len;
	int status;

	scope->kind = SCOPE_HOST;
	status = read_host_file(debugfs, "exit_stats", path, &text, &len);
	if (status)
		return status;
	status = kvmstats_parse(&scope->snap, path, "host", text, len);
	free(text);
	if (status || !latency)
		return status;

	/* It is not there if the module was loaded without histograms. */
	snprintf(path, sizeof(path), "%s/kvm/exit_latency", debugfs);
	if (!file_exists(path))
		return STATUS_OK;
	status = read_host_file(debugfs, "exit_latency", path, &text, &len);
	if (status)
		return status;
	status = kvmlatency_parse(&scope->latency, path, "host", text, len);
	free(text);
	return status;
}

static unsigned int probe(const struct source_setup *setup, char *why,
			  size_t size)
{
	return is_readable(setup->debugfs, why, size) ?
		       debugfs_source.abilities :
		       0;
}

static int read_debugfs(struct source *source, const struct exit_selection *sel,
			struct exit_scan *scan)
{
	struct exit_scope *scope;
	int status = STATUS_OK;

	if (sel->host) {
		scope = scan_add(scan);
		status = scope ? read_host(scope, source->setup.debugfs,
					   sel->host_latency) :
				 out_of_memory();
	}
	if (!status && (sel->vms || sel->vcpus))
		status = read_all_vms(scan, &source->setup, sel);
	return status;
}

const struct source_ops debugfs_source = {
	.name = "debugfs",
	.abilities = SOURCE_HOST | SOURCE_VMS | SOURCE_VCPUS | SOURCE_LATENCY |
		     SOURCE_SINCE_LOAD | SOURCE_COUNTED,
	.probe = probe,
	.read = read_debugfs,
};
