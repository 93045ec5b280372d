/* SPDX-License-Identifier: GPL-2.0 */
/* Why the interrupts of VMs that run now are not virtualized by hardware. */
#ifndef DOCTOR_INHIBITS_H
#define DOCTOR_INHIBITS_H

#include <stdbool.h>
#include <stddef.h>

struct apicv_inhibits {
	size_t nr_vms;
	/* those that have any inhibit */
	size_t nr_inhibited;
	/* "HYPERV (2, as 1234-12), PIT_REINJ (1, as 1300-15)" */
	char text[200];
};

/* False if the kernel does not tell; needs BTF and CAP_SYS_ADMIN. */
bool apicv_inhibits_read(struct apicv_inhibits *inhibits);

#endif
