// SPDX-License-Identifier: GPL-2.0
#include "base/message.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "doctor/facts.h"
#include "doctor/measure.h"
#include "doctor/print.h"

static const struct command_usage usage = {
	.name = "doctor",
	.operands = "",
	.text = "Tell what can count VM-exits on this host, what cannot and why, and what\n"
		"decides how many there are and what they take: KVM's modules and their\n"
		"parameters, mitigations, the machine.  Changes nothing.  Without root it sees\n"
		"less.",
	.options = TAKES_JSON | TAKES_MEASURE | TAKES_DEBUGFS | TAKES_SYSFS,
};

/* Counters that are there already cannot be switched off for it. */
static int measure_host(struct measured *measured, const struct fact_list *list,
			const struct source_setup *setup)
{
	if (!list->can_count)
		note("nothing can count exits here, so this is what they take without: %s",
		     list->why);
	else if (list->counted_by)
		note("exits are counted already (%s), so this is what they take with that",
		     list->counted_by);
	return measure(measured, setup, list->can_count && !list->counted_by);
}

static int examine(const struct arguments *args)
{
	struct measured measured;
	struct fact_list list;
	int status;

	facts_read(&list, &args->setup);
	if (args->measure) {
		status = measure_host(&measured, &list, &args->setup);
		if (status)
			return status;
	}
	if (args->format.kind == FORMAT_JSON)
		doctor_print_json(&list, args->measure ? &measured : NULL);
	else if (!doctor_print(&list, args->measure ? &measured : NULL))
		return out_of_memory();
	if (!list.can_count)
		fail(list.status, "no exits can be counted here: %s", list.why);
	return list.status;
}

int cmd_doctor(int argc, char **argv)
{
	struct arguments args;
	int status;

	if (parse_options(argc, argv, &usage, &args, &status))
		status = examine(&args);
	arguments_free(&args);
	return status;
}
