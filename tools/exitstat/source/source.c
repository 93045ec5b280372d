// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/message.h"
#include "base/text.h"
#include "source/list.h"
#include "source/source.h"

/* What to do where nothing has counted yet. */
#define FROM_NOW_ON \
	"'exitstat top', 'exitstat record' and 'exitstat show -d SEC' count from now on, 'exitstat attach' for all who come later"

const char *const level_names[NR_LEVELS] = {
	[LEVEL_ANY] = "",
	[LEVEL_COUNTS] = "counts",
	[LEVEL_TIMES] = "times",
	[LEVEL_HISTOGRAMS] = "histograms",
};

unsigned int source_wanted(const struct exit_selection *sel)
{
	return (sel->host ? SOURCE_HOST : 0) | (sel->vms ? SOURCE_VMS : 0) |
	       (sel->vcpus ? SOURCE_VCPUS : 0);
}

/* Has @abilities all of @want, and is it of the same side of the VM? */
static bool can(unsigned int abilities, unsigned int want)
{
	return abilities && (abilities & want) == want &&
	       !((abilities ^ want) & SOURCE_FROM_INSIDE);
}

void source_names(unsigned int want, char *names, size_t size)
{
	size_t i;

	*names = '\0';
	for (i = 0; sources[i]; i++) {
		if (can(sources[i]->abilities, want))
			text_append(names, size, ", ", sources[i]->name);
	}
}

/* The source that the user named. */
static int find_named(const char *name, unsigned int want,
		      const struct source_ops **ops)
{
	char names[128];
	size_t i;

	source_names(want, names, sizeof(names));
	for (i = 0; sources[i]; i++) {
		if (!strcmp(sources[i]->name, name))
			break;
	}
	if (!sources[i])
		return fail(STATUS_USAGE,
			    "unknown source '%s': choose one of %s", name,
			    names);
	if (!can(sources[i]->abilities, want))
		return fail(
			STATUS_USAGE,
			"the source %s does not have what is asked for: choose one of %s",
			name, names);
	*ops = sources[i];
	return STATUS_OK;
}

/* Is there a source that can do all of @want, here and now? */
static bool can_be_read(const struct source_setup *setup, unsigned int want)
{
	char why[sizeof(((struct source *)NULL)->why)];
	size_t i;

	for (i = 0; sources[i]; i++) {
		if (can(sources[i]->abilities, want) &&
		    can(sources[i]->probe(setup, why, sizeof(why)), want))
			return true;
	}
	return false;
}

/* The first one that can be read, or else the first one. */
static int find_first(struct source *source, unsigned int want)
{
	const struct source_ops *first = NULL;
	char why[sizeof(source->why)];
	size_t i;

	for (i = 0; sources[i]; i++) {
		const struct source_ops *ops = sources[i];

		if (!can(ops->abilities, want))
			continue;
		*why = '\0';
		source->abilities =
			ops->probe(&source->setup, why, sizeof(why));
		if (can(source->abilities, want)) {
			source->ops = ops;
			source->better = first;
			return STATUS_OK;
		}
		if (!first) {
			first = ops;
			strcpy(source->why, why);
		}
	}
	if (!first)
		return fail(STATUS_USAGE,
			    "no source of this program has what is asked for");
	if (want & SOURCE_COUNTED &&
	    can_be_read(&source->setup, want & ~SOURCE_COUNTED))
		return fail(
			STATUS_UNSUPPORTED,
			"nothing has counted exits here so far (%s: %s): " FROM_NOW_ON,
			first->name, source->why);
	source->ops = first;
	source->abilities = first->abilities;
	return STATUS_OK;
}

int source_open(struct source *source, const struct source_setup *setup,
		const char *name, unsigned int want)
{
	char why[sizeof(source->why)];
	int status = STATUS_OK;

	*source = (struct source){ .setup = *setup };
	if (name) {
		status = find_named(name, want, &source->ops);
		if (status)
			return status;
		/* If it cannot be read, that is said when it is read. */
		source->abilities = source->ops->probe(setup, why, sizeof(why));
		if (source->abilities &&
		    want & ~source->abilities & SOURCE_COUNTED)
			return fail(
				STATUS_UNSUPPORTED,
				"nothing has counted exits here so far: " FROM_NOW_ON);
	} else {
		status = find_first(source, want);
	}
	if (!status && source->ops->open)
		status = source->ops->open(source);
	return status;
}

int source_read(struct source *source, const struct exit_selection *sel,
		struct exit_scan *scan)
{
	int status;

	scan->realtime = clock_now(CLOCK_REALTIME);
	scan->monotonic = clock_now(CLOCK_MONOTONIC);
	snprintf(scan->source, sizeof(scan->source), "%s", source->ops->name);
	status = source->ops->read(source, sel, scan);
	scan_sort(scan);
	return status;
}

void source_close(struct source *source)
{
	if (source->ops && source->ops->close)
		source->ops->close(source);
	source->ops = NULL;
}

/* The one that has to be asked to count, or NULL. */
static const struct source_ops *find_attachable(void)
{
	size_t i;

	for (i = 0; sources[i] && !sources[i]->attach;)
		i++;
	return sources[i];
}

int source_attach(const struct source_setup *setup)
{
	const struct source_ops *ops = find_attachable();

	return ops ? ops->attach(setup) :
		     fail(STATUS_UNSUPPORTED,
			  "this program has nothing to attach");
}

int source_detach(void)
{
	const struct source_ops *ops = find_attachable();

	return ops ? ops->detach() :
		     fail(STATUS_UNSUPPORTED,
			  "this program has nothing to detach");
}
