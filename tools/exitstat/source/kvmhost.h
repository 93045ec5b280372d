/* SPDX-License-Identifier: GPL-2.0 */
/* What this kernel, its KVM and its user are, as far as sources must know. */
#ifndef SOURCE_KVMHOST_H
#define SOURCE_KVMHOST_H

#include <stdbool.h>

/* The module that knows the hardware. */
struct kvm_vendor {
	const char *module;
	/* vmx, svm, or NULL of one that has exits of no hardware */
	const char *isa;
};

/* That which is loaded, or built in, or NULL. */
const struct kvm_vendor *kvm_vendor_find(const char *sysfs);
/* One that is there. */
bool kvm_module_is_built_in(const char *sysfs, const char *module);
/* Of a module, or of the kernel itself if that is NULL. */
bool kernel_has_btf(const char *sysfs, const char *module);
/* Is its lockdown that one?  See kernel_lockdown(7). */
bool kernel_is_locked_down(const char *sysfs, const char *mode);
/* May this process do what CAP_SYS_ADMIN allows? */
bool user_is_admin(void);

#endif
