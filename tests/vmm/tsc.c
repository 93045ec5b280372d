// SPDX-License-Identifier: GPL-2.0
/* Prints the TSC, for shell scripts that compare it with KVM's accounting. */
#include <inttypes.h>
#include <stdio.h>
#include <x86intrin.h>

int main(void)
{
	printf("%" PRIu64 "\n", (uint64_t)__rdtsc());
	return ferror(stdout) || fclose(stdout);
}
