/* loop makes a thumbnail again and again with libvips, in this process, and
 * prints the mean CPU time in milliseconds and the peak memory in KiB.
 *
 * Usage: loop FILE HEIGHT COUNT OUT
 * Built for the benchmark alone: cc -O2 loop.c -o loop $(pkg-config --cflags --libs vips)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <vips/vips.h>

static double cpu_ms(void)
{
	struct rusage r;
	getrusage(RUSAGE_SELF, &r);
	return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e3 + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e3;
}

static long peak_kib(void)
{
	char line[256];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "VmHWM: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

int main(int argc, char **argv)
{
	if (argc != 5 || VIPS_INIT(argv[0]))
		return 2;
	int height = atoi(argv[2]), count = atoi(argv[3]);
	gsize size = 0;
	char *data = NULL;
	if (!g_file_get_contents(argv[1], &data, &size, NULL))
		return 1;
	vips_cache_set_max(0);
	double begin = 0;
	for (int i = -(count > 1); i < count; i++) {
		if (i == 0)
			begin = cpu_ms(); /* the run before, if any, warmed up */
		VipsImage *image = NULL;
		void *out = NULL;
		size_t length = 0;
		if (vips_thumbnail_buffer(data, size, &image, 100000, "height", height, "size", VIPS_SIZE_DOWN, NULL))
			vips_error_exit(NULL);
		int failed = vips_image_hasalpha(image)
			? vips_pngsave_buffer(image, &out, &length, "strip", TRUE, NULL)
			: vips_jpegsave_buffer(image, &out, &length, "Q", 80, "strip", TRUE, NULL);
		if (failed)
			vips_error_exit(NULL);
		if (i == count - 1) {
			FILE *f = fopen(argv[4], "wb");
			if (!f || fwrite(out, 1, length, f) != length || fclose(f))
				return 1;
		}
		g_free(out);
		g_object_unref(image);
	}
	printf("%f %ld\n", (cpu_ms() - begin) / count, peak_kib());
	return 0;
}
