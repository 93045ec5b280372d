/* SPDX-License-Identifier: GPL-2.0 */
#ifndef STATSFD_H
#define STATSFD_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Reader of KVM's binary statistics, Documentation/virt/kvm/api.rst,
 * KVM_GET_STATS_FD.  It knows no statistic by name: whatever the kernel
 * describes is read and shown.
 */
struct statsfd {
	int fd;
	struct kvm_stats_header header;
	/* header.num_desc descriptors of desc_size bytes each */
	unsigned char *desc;
	size_t desc_size;
	/* bytes of a snapshot */
	size_t data_size;
};

/*
 * Read the header and the descriptors of a stats file descriptor, which then
 * belongs to @s.  Returns NULL, or a static sentence saying what is wrong.
 */
const char *statsfd_init(struct statsfd *s, int fd);

/* Close the file descriptor and free what statsfd_init() allocated. */
void statsfd_destroy(struct statsfd *s);

/*
 * Take a snapshot of all values, data_size bytes, into @data.  Returns 0, or
 * -1 with errno set.
 */
int statsfd_read(const struct statsfd *s, uint64_t *data);

/*
 * Print a JSON object of all values, by name: a number, or an array of numbers
 * where a statistic has several.  With a second, earlier snapshot @before
 * print the growth since then, of those only that can but grow.
 */
void statsfd_print(FILE *out, const struct statsfd *s, const uint64_t *data,
		   const uint64_t *before);

#endif
