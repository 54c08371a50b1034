/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trap/machine.h - the interrupted thread's registers. All that a port to another processor needs, with copy.S.
 *
 * x86-64: bit 1 of the page fault error code says that the access was a store (Intel SDM vol. 3, 4.7).
 */
#ifndef TRAP_MACHINE_H
#define TRAP_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#if !defined(__x86_64__)
#error "Quire knows the fault frames of x86-64 only: see trap/machine.h and trap/copy.S for what a port needs"
#endif

static inline uintptr_t machine_pc(const ucontext_t *context)
{
	return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
}

static inline bool machine_is_store(const ucontext_t *context)
{
	return (context->uc_mcontext.gregs[REG_ERR] & 2) != 0;
}

/* When the handler returns, the thread is in function(error, near) as if that had been called in place of the assembler
 * routine that was interrupted, which keeps nothing on the stack. */
static inline void machine_replace_call(
	ucontext_t *context, int (*function)(int, const void *), int error, uintptr_t near)
{
	context->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)function;
	context->uc_mcontext.gregs[REG_RDI] = error;
	context->uc_mcontext.gregs[REG_RSI] = (greg_t)near;
}

/* When the handler returns, the thread calls function(argument), which must not return. */
static inline void machine_call(ucontext_t *context, void (*function)(void *), void *argument)
{
	/* Below the red zone; at a function's entry the stack is 8 short of a multiple of 16. */
	uintptr_t stack = (((uintptr_t)context->uc_mcontext.gregs[REG_RSP] - 128) & ~(uintptr_t)15) - 8;

	context->uc_mcontext.gregs[REG_RSP] = (greg_t)stack;
	context->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)function;
	context->uc_mcontext.gregs[REG_RDI] = (greg_t)(uintptr_t)argument;
}

#endif
