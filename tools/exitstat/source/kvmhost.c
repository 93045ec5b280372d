// SPDX-License-Identifier: GPL-2.0
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/array.h"
#include "base/file.h"
#include "source/kvmhost.h"

static const struct kvm_vendor vendors[] = {
	{ "kvm_intel", "vmx" },
	{ "kvm_amd", "svm" },
	{ "kvm_pvm", NULL },
};

static bool has(const char *sysfs, const char *dir, const char *name,
		const char *file)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/%s/%s", sysfs, dir, name, file);
	return file_exists(path);
}

const struct kvm_vendor *kvm_vendor_find(const char *sysfs)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(vendors); i++) {
		if (has(sysfs, "module", vendors[i].module, ""))
			return &vendors[i];
	}
	return NULL;
}

/* What is built in has parameters, and no state. */
bool kvm_module_is_built_in(const char *sysfs, const char *module)
{
	return has(sysfs, "module", module, "") &&
	       !has(sysfs, "module", module, "initstate");
}

bool kernel_has_btf(const char *sysfs, const char *module)
{
	if (!module)
		return has(sysfs, "kernel", "btf", "vmlinux");
	return has(sysfs, "kernel", "btf", module) ||
	       kvm_module_is_built_in(sysfs, module);
}

bool kernel_is_locked_down(const char *sysfs, const char *mode)
{
	char path[PATH_MAX], marked[64], *text;
	size_t len;
	bool locked;

	/* "none [integrity] confidentiality" */
	snprintf(marked, sizeof(marked), "[%s]", mode);
	snprintf(path, sizeof(path), "%s/kernel/security/lockdown", sysfs);
	text = read_file(path, 4096, &len);
	locked = text && strstr(text, marked);
	free(text);
	return locked;
}

bool user_is_admin(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	return !syscall(SYS_capget, &header, data) &&
	       data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective &
		       CAP_TO_MASK(CAP_SYS_ADMIN);
}
