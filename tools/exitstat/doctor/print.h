/* SPDX-License-Identifier: GPL-2.0 */
/* What the doctor has found, for people and for programs. */
#ifndef DOCTOR_PRINT_H
#define DOCTOR_PRINT_H

#include <stdbool.h>

#include "doctor/facts.h"
#include "doctor/measure.h"

/* @measured may be NULL.  False if memory runs out. */
bool doctor_print(const struct fact_list *list,
		  const struct measured *measured);
/* exitstat.doctor, see schema/exitstat.doctor.json. */
void doctor_print_json(const struct fact_list *list,
		       const struct measured *measured);

#endif
