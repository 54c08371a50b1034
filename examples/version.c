/* SPDX-License-Identifier: Apache-2.0 */
/* Which library am I running with? */
#include <stdio.h>

#include <quire/quire.h>

int main(void)
{
	printf("running with Quire %s\n", quire_version());
	return 0;
}
