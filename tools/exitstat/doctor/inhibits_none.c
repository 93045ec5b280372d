// SPDX-License-Identifier: GPL-2.0
/* Of a program without eBPF: nothing else tells. */
#include "doctor/inhibits.h"

bool apicv_inhibits_read(struct apicv_inhibits *inhibits)
{
	(void)inhibits;
	return false;
}
