// SPDX-License-Identifier: GPL-2.0
#include "statsfd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Far above what any kernel has; keeps a broken header from exhausting RAM. */
#define MAX_DESC 4096
#define MAX_NAME 4096

static const struct kvm_stats_desc *get_desc(const struct statsfd *s,
					     uint32_t i)
{
	return (const struct kvm_stats_desc *)(s->desc + i * s->desc_size);
}

static bool read_at(int fd, void *buf, size_t size, uint32_t offset)
{
	ssize_t n = pread(fd, buf, size, offset);

	if (n >= 0 && (size_t)n != size)
		errno = EIO;
	return n == (ssize_t)size;
}

const char *statsfd_init(struct statsfd *s, int fd)
{
	size_t desc_bytes;

	memset(s, 0, sizeof(*s));
	s->fd = fd;

	if (!read_at(fd, &s->header, sizeof(s->header), 0))
		return "its header cannot be read";
	if (!s->header.num_desc || s->header.num_desc > MAX_DESC ||
	    !s->header.name_size || s->header.name_size > MAX_NAME ||
	    s->header.name_size % _Alignof(struct kvm_stats_desc))
		return "its header makes no sense";

	s->desc_size = sizeof(struct kvm_stats_desc) + s->header.name_size;
	desc_bytes = s->header.num_desc * s->desc_size;
	s->desc = malloc(desc_bytes);
	if (!s->desc)
		return "out of memory";
	if (!read_at(fd, s->desc, desc_bytes, s->header.desc_offset))
		return "its descriptors cannot be read";

	for (uint32_t i = 0; i < s->header.num_desc; i++) {
		const struct kvm_stats_desc *d = get_desc(s, i);
		size_t end = d->offset + d->size * sizeof(uint64_t);

		if (!d->size || d->offset % sizeof(uint64_t))
			return "a descriptor makes no sense";
		if (end > s->data_size)
			s->data_size = end;
	}
	return NULL;
}

void statsfd_destroy(struct statsfd *s)
{
	close(s->fd);
	free(s->desc);
}

int statsfd_read(const struct statsfd *s, uint64_t *data)
{
	return read_at(s->fd, data, s->data_size, s->header.data_offset) ? 0 :
									   -1;
}

static bool only_grows(const struct kvm_stats_desc *d)
{
	switch (d->flags & KVM_STATS_TYPE_MASK) {
	case KVM_STATS_TYPE_CUMULATIVE:
	case KVM_STATS_TYPE_LINEAR_HIST:
	case KVM_STATS_TYPE_LOG_HIST:
		return true;
	default:
		return false;
	}
}

static void print_values(FILE *out, const struct kvm_stats_desc *d,
			 const uint64_t *data, const uint64_t *before)
{
	size_t first = d->offset / sizeof(uint64_t);

	if (d->size > 1)
		putc('[', out);
	for (size_t i = first; i < first + d->size; i++)
		fprintf(out, "%s%" PRIu64, i > first ? "," : "",
			data[i] - (before ? before[i] : 0));
	if (d->size > 1)
		putc(']', out);
}

void statsfd_print(FILE *out, const struct statsfd *s, const uint64_t *data,
		   const uint64_t *before)
{
	const char *separator = "";

	putc('{', out);
	for (uint32_t i = 0; i < s->header.num_desc; i++) {
		const struct kvm_stats_desc *d = get_desc(s, i);

		if (before && !only_grows(d))
			continue;
		fprintf(out, "%s\"%.*s\":", separator, (int)s->header.name_size,
			d->name);
		print_values(out, d, data, before);
		separator = ",";
	}
	putc('}', out);
}
