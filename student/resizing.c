#include "student/resizing.h"

#include <math.h>
#include <stdio.h>

static rt_status read_size(const cJSON *j, const char *of, const char *key, int number, int *h, int *w)
{
    const cJSON *one = cJSON_IsArray(j) ? j->child : j, *two = cJSON_IsArray(j) && one ? one->next : NULL;
    int fits = cJSON_IsArray(j) ? two && !two->next : number;
    for (int k = 0; k < 2 && fits; k++) {
        const cJSON *v = k ? two : one;
        if (!v) continue;
        fits = cJSON_IsNumber(v) && v->valuedouble >= 1 && v->valuedouble <= RT_RESIZE_MOST &&
               v->valuedouble == floor(v->valuedouble);
    }
    if (!fits)
        return rt_fail(RT_USAGE, "%s.%s: a size [H, W] in pixels is expected, 1 to %d each%s", of, key, RT_RESIZE_MOST,
                       number ? ", or the length of the shorter side" : "");
    *h = one->valueint;
    *w = two ? two->valueint : 0;
    return RT_OK;
}

rt_status rt_resizing_read(rt_resizing *r, const cJSON *object, const char *of)
{
    const cJSON *resize = cJSON_GetObjectItemCaseSensitive(object, "resize"),
                *crop = cJSON_GetObjectItemCaseSensitive(object, "crop");
    *r = (rt_resizing){0};
    if (resize) RT_TRY(read_size(resize, of, "resize", 1, &r->resize_h, &r->resize_w));
    return crop ? read_size(crop, of, "crop", 0, &r->crop_h, &r->crop_w) : RT_OK;
}

void rt_resizing_put(const rt_resizing *r, cJSON *object)
{
    const int resize[] = {r->resize_h, r->resize_w}, crop[] = {r->crop_h, r->crop_w};
    if (r->resize_w) cJSON_AddItemToObject(object, "resize", cJSON_CreateIntArray(resize, 2));
    else if (r->resize_h) cJSON_AddNumberToObject(object, "resize", r->resize_h);
    if (r->crop_h) cJSON_AddItemToObject(object, "crop", cJSON_CreateIntArray(crop, 2));
}

const char *rt_resizing_text(const rt_resizing *r, char text[160])
{
    int n = 0;
    text[0] = 0;
    if (r->resize_w) n = snprintf(text, 160, "resized to (%d, %d)", r->resize_h, r->resize_w);
    else if (r->resize_h) n = snprintf(text, 160, "resized so that the shorter side is %d", r->resize_h);
    if (r->crop_h) snprintf(text + n, 160 - (size_t)n, "%sthe middle (%d, %d)", n ? ", " : "", r->crop_h, r->crop_w);
    return text;
}

rt_status rt_resizing_of(const rt_resizing *r, const rt_shape *row, rt_shape *to, rt_resize *how)
{
    char a[64], b[160];
    int h = row->dim[0], w = row->rank > 1 ? row->dim[1] : 1;
    if (row->rank < 2 || row->rank > 3 || h > RT_RESIZE_MOST || w > RT_RESIZE_MOST)
        return rt_fail(RT_INPUT, "\"resize\" and \"crop\" are of images, rows (H, W) or (H, W, C) of up to %d pixels a "
                       "side; rows of %s are none", RT_RESIZE_MOST, rt_shape_text(row, a));
    *how = (rt_resize){.from_h = h, .from_w = w};
    if (r->resize_w) h = r->resize_h, w = r->resize_w;
    else if (r->resize_h) {
        int64_t n = r->resize_h, longer = h <= w ? n * w / h : n * h / w;
        if (longer > RT_RESIZE_MOST)
            return rt_fail(RT_INPUT, "images of %s, %s: the other side is longer than %d pixels", rt_shape_text(row, a),
                           rt_resizing_text(r, b), RT_RESIZE_MOST);
        h <= w ? (h = (int)n, w = (int)longer) : (w = (int)n, h = (int)longer);
    }
    how->to_h = h;
    how->to_w = w;
    if (r->crop_h) {
        if (r->crop_h > h || r->crop_w > w)
            return rt_fail(RT_INPUT, "images of %s become (%d, %d), and no middle of (%d, %d) can be cut out of them",
                           rt_shape_text(row, a), h, w, r->crop_h, r->crop_w);
        how->top = (int)rint((h - r->crop_h) / 2.0);
        how->left = (int)rint((w - r->crop_w) / 2.0);
        h = r->crop_h;
        w = r->crop_w;
    }
    *to = (rt_shape){3, {h, w, row->rank == 3 ? row->dim[2] : 1}};
    return RT_OK;
}
