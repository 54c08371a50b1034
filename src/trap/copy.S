/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trap_copy(rdi destination, rsi source, rdx length) -> eax 0 or -errno
 *
 * No stack frame and no saved register, so that leaving from any instruction is one jump to trap_copy_failed.
 * Up to 128 bytes: pairs of vectors from both ends, which overlap in the middle. Up to 2 KiB: 64 bytes a turn. Above:
 * rep movsb, which the processor turns into whole cache lines (on processors with ERMS; since 2013). 2 KiB is where the
 * two meet on the machine of bench/mapping/copy.c.
 */
	.text
	.globl	trap_copy
	.hidden	trap_copy
	.type	trap_copy, @function
	.p2align 6
trap_copy:
	.cfi_startproc
	xorl	%eax, %eax
	cmpq	$16, %rdx
	jb	.Lunder16
	cmpq	$32, %rdx
	ja	.Lover32
	movups	(%rsi), %xmm0
	movups	-16(%rsi,%rdx), %xmm1
	movups	%xmm0, (%rdi)
	movups	%xmm1, -16(%rdi,%rdx)
	ret

	.p2align 4
.Lover32:
	cmpq	$64, %rdx
	ja	.Lover64
	movups	(%rsi), %xmm0
	movups	16(%rsi), %xmm1
	movups	-32(%rsi,%rdx), %xmm2
	movups	-16(%rsi,%rdx), %xmm3
	movups	%xmm0, (%rdi)
	movups	%xmm1, 16(%rdi)
	movups	%xmm2, -32(%rdi,%rdx)
	movups	%xmm3, -16(%rdi,%rdx)
	ret

	.p2align 4
.Lover64:
	cmpq	$128, %rdx
	ja	.Lover128
	movups	(%rsi), %xmm0
	movups	16(%rsi), %xmm1
	movups	32(%rsi), %xmm2
	movups	48(%rsi), %xmm3
	movups	-64(%rsi,%rdx), %xmm4
	movups	-48(%rsi,%rdx), %xmm5
	movups	-32(%rsi,%rdx), %xmm6
	movups	-16(%rsi,%rdx), %xmm7
	movups	%xmm0, (%rdi)
	movups	%xmm1, 16(%rdi)
	movups	%xmm2, 32(%rdi)
	movups	%xmm3, 48(%rdi)
	movups	%xmm4, -64(%rdi,%rdx)
	movups	%xmm5, -48(%rdi,%rdx)
	movups	%xmm6, -32(%rdi,%rdx)
	movups	%xmm7, -16(%rdi,%rdx)
	ret

	.p2align 4
.Lover128:
	cmpq	$2048, %rdx
	jae	.Lstring
	/* All whole blocks but the last, then the last 64 bytes from the end. */
	leaq	-64(%rdx), %rcx
	.p2align 4
.Lblock:
	movups	(%rsi), %xmm0
	movups	16(%rsi), %xmm1
	movups	32(%rsi), %xmm2
	movups	48(%rsi), %xmm3
	movups	%xmm0, (%rdi)
	movups	%xmm1, 16(%rdi)
	movups	%xmm2, 32(%rdi)
	movups	%xmm3, 48(%rdi)
	addq	$64, %rsi
	addq	$64, %rdi
	subq	$64, %rcx
	ja	.Lblock
	/* rcx = bytes left - 64, from -63 to 0 */
	movups	(%rsi,%rcx), %xmm0
	movups	16(%rsi,%rcx), %xmm1
	movups	32(%rsi,%rcx), %xmm2
	movups	48(%rsi,%rcx), %xmm3
	movups	%xmm0, (%rdi,%rcx)
	movups	%xmm1, 16(%rdi,%rcx)
	movups	%xmm2, 32(%rdi,%rcx)
	movups	%xmm3, 48(%rdi,%rcx)
	ret

	.p2align 4
.Lstring:
	movq	%rdx, %rcx
	rep movsb
	ret

	.p2align 4
.Lunder16:
	cmpq	$8, %rdx
	jb	.Lunder8
	movq	(%rsi), %rcx
	movq	-8(%rsi,%rdx), %r8
	movq	%rcx, (%rdi)
	movq	%r8, -8(%rdi,%rdx)
	ret
.Lunder8:
	cmpq	$4, %rdx
	jb	.Lunder4
	movl	(%rsi), %ecx
	movl	-4(%rsi,%rdx), %r8d
	movl	%ecx, (%rdi)
	movl	%r8d, -4(%rdi,%rdx)
	ret
.Lunder4:
	testq	%rdx, %rdx
	je	.Lnothing
	movzbl	(%rsi), %ecx
	movzbl	-1(%rsi,%rdx), %r8d
	cmpq	$3, %rdx
	jne	.Lends
	movzbl	1(%rsi), %r9d
	movb	%r9b, 1(%rdi)
.Lends:
	movb	%cl, (%rdi)
	movb	%r8b, -1(%rdi,%rdx)
.Lnothing:
	ret

	.globl	trap_copy_failed
	.hidden	trap_copy_failed
trap_copy_failed:
	ret
	.globl	trap_copy_end
	.hidden	trap_copy_end
trap_copy_end:
	.cfi_endproc
	.size	trap_copy, . - trap_copy

	.section .note.GNU-stack, "", @progbits
