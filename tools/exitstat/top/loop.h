/* SPDX-License-Identifier: GPL-2.0 */
/* What a live view waits for: keys, the time, and signals. */
#ifndef TOP_LOOP_H
#define TOP_LOOP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* ns; the first numbers of what was not read before come soon. */
#define FIRST_INTERVAL 250000000
#define DEFAULT_INTERVAL 1000000000

struct top_loop {
	int timer;
	int signals;
	sigset_t mask;
};

struct loop_events {
	bool keys;
	bool timer;
	/* one that ends the program, or SIGWINCH, or SIGTSTP; or 0 */
	int signal;
};

/* STATUS_OK, or a message that this terminal cannot show it. */
int loop_check(void);
/* With @stop get SIGTSTP, too.  False and errno on error; close it anyway. */
bool loop_open(struct top_loop *loop, bool stop);
void loop_close(struct top_loop *loop);
void loop_set_timer(struct top_loop *loop, uint64_t first, uint64_t interval);
/* Wait for any of them.  No terminal any more is SIGHUP. */
void loop_wait(struct top_loop *loop, struct loop_events *events);
/* End by the signal that ended the loop, if that is not just a way to quit. */
void loop_raise(int number);

#endif
