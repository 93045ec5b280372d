/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMM_H
#define VMM_H

/* What both VMMs need. */

#include <err.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define EXIT_USAGE 2
#define EXIT_NO_SUPPORT 77

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

/* Returns the ioctl's value, or ends the program if it fails. */
static inline int kvm_ioctl(int fd, unsigned long request, const char *name,
			    unsigned long arg)
{
	int r = ioctl(fd, request, arg);

	if (r < 0)
		err(EXIT_FAILURE, "%s", name);
	return r;
}
#define KVM_IOCTL(fd, request, arg) \
	kvm_ioctl(fd, request, #request, (unsigned long)(arg))

#endif
