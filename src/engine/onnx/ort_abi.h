/* The part of ONNX Runtime's C ABI that the worker calls. The API is a table of functions that only
 * grows at its end, so slots keep their numbers; these are the positions in `struct OrtApi` of
 * onnxruntime_c_api.h (checked against API version 24). Nothing of ONNX Runtime is needed to build.
 *
 * Every call returns NULL or a status, whose text is GetErrorMessage's. */
#ifndef MR_ENGINE_ONNX_ORT_ABI_H
#define MR_ENGINE_ONNX_ORT_ABI_H

#include <stddef.h>
#include <stdint.h>

#define MR_ORT_API 16 /* the oldest table that has every slot below; ORT 1.16 and later */

typedef void ort_status, ort_env, ort_session, ort_options, ort_value, ort_memory_info,
    ort_allocator, ort_shape_info, ort_run_options;

struct ort_api_base {
    void *const *(*get_api)(uint32_t version);
    const char *(*version)(void);
};
typedef const struct ort_api_base *ort_get_api_base(void);

enum mr_ort_slot {
    ORT_GetErrorMessage = 2,
    ORT_CreateEnv = 3,
    ORT_CreateSessionFromArray = 8,
    ORT_Run = 9,
    ORT_CreateSessionOptions = 10,
    ORT_DisableCpuMemArena = 19,
    ORT_SetSessionGraphOptimizationLevel = 23,
    ORT_SetIntraOpNumThreads = 24,
    ORT_SetInterOpNumThreads = 25,
    ORT_CreateTensorAsOrtValue = 48,
    ORT_CreateTensorWithDataAsOrtValue = 49,
    ORT_GetTensorMutableData = 51,
    ORT_FillStringTensor = 52,
    ORT_GetStringTensorDataLength = 53,
    ORT_GetStringTensorContent = 54,
    ORT_GetTensorElementType = 60,
    ORT_GetDimensionsCount = 61,
    ORT_GetDimensions = 62,
    ORT_GetTensorShapeElementCount = 64,
    ORT_GetTensorTypeAndShape = 65,
    ORT_GetValueType = 67,
    ORT_CreateCpuMemoryInfo = 69,
    ORT_GetAllocatorWithDefaultOptions = 78,
    ORT_GetValue = 80,
    ORT_GetValueCount = 81,
    ORT_ReleaseStatus = 93,
    ORT_ReleaseValue = 96,
    ORT_ReleaseTensorTypeAndShapeInfo = 99,
    ORT_AddSessionConfigEntry = 130,
    ORT_SessionOptionsSetCustomCreateThreadFn = 196,
    ORT_SessionOptionsSetCustomThreadCreationOptions = 197,
    ORT_SessionOptionsSetCustomJoinThreadFn = 198,
};

enum {
    ORT_ENABLE_ALL_ = 99,
    ORT_LOG_FATAL_ = 4,
    ORT_VALUE_TENSOR_ = 1,
    ORT_VALUE_SEQUENCE_ = 2,
    ORT_VALUE_MAP_ = 3
};

typedef const char *ort_GetErrorMessage(const ort_status *);
typedef ort_status *ort_CreateEnv(int level, const char *id, ort_env **out);
typedef ort_status *ort_CreateSessionFromArray(const ort_env *, const void *, size_t,
                                               const ort_options *, ort_session **out);
typedef ort_status *ort_Run(ort_session *, const ort_run_options *, const char *const *in_names,
                            const ort_value *const *in, size_t n_in, const char *const *out_names,
                            size_t n_out, ort_value **out);
typedef ort_status *ort_CreateSessionOptions(ort_options **out);
typedef ort_status *ort_DisableCpuMemArena(ort_options *);
typedef ort_status *ort_SetSessionGraphOptimizationLevel(ort_options *, int level);
typedef ort_status *ort_SetIntraOpNumThreads(ort_options *, int n);
typedef ort_status *ort_SetInterOpNumThreads(ort_options *, int n);
typedef ort_status *ort_CreateTensorAsOrtValue(ort_allocator *, const int64_t *shape, size_t rank,
                                               int type, ort_value **out);
typedef ort_status *ort_CreateTensorWithDataAsOrtValue(const ort_memory_info *, void *data,
                                                       size_t bytes, const int64_t *shape,
                                                       size_t rank, int type, ort_value **out);
typedef ort_status *ort_GetTensorMutableData(ort_value *, void **out);
typedef ort_status *ort_FillStringTensor(ort_value *, const char *const *, size_t n);
typedef ort_status *ort_GetStringTensorDataLength(const ort_value *, size_t *out);
typedef ort_status *ort_GetStringTensorContent(const ort_value *, void *bytes, size_t n,
                                               size_t *offsets, size_t n_offsets);
typedef ort_status *ort_GetTensorElementType(const ort_shape_info *, int *out);
typedef ort_status *ort_GetDimensionsCount(const ort_shape_info *, size_t *out);
typedef ort_status *ort_GetDimensions(const ort_shape_info *, int64_t *out, size_t n);
typedef ort_status *ort_GetTensorShapeElementCount(const ort_shape_info *, size_t *out);
typedef ort_status *ort_GetTensorTypeAndShape(const ort_value *, ort_shape_info **out);
typedef ort_status *ort_GetValueType(const ort_value *, int *out);
typedef ort_status *ort_CreateCpuMemoryInfo(int allocator_type, int mem_type,
                                            ort_memory_info **out);
typedef ort_status *ort_GetAllocatorWithDefaultOptions(ort_allocator **out);
typedef ort_status *ort_GetValue(const ort_value *, int index, ort_allocator *, ort_value **out);
typedef ort_status *ort_GetValueCount(const ort_value *, size_t *out);
typedef void ort_ReleaseStatus(ort_status *);
typedef void ort_ReleaseValue(ort_value *);
typedef void ort_ReleaseTensorTypeAndShapeInfo(ort_shape_info *);
typedef ort_status *ort_AddSessionConfigEntry(ort_options *, const char *key, const char *value);
typedef void *ort_create_thread(void *options, void (*run)(void *), void *param); /* a handle */
typedef void ort_join_thread(const void *handle);
typedef ort_status *ort_SessionOptionsSetCustomCreateThreadFn(ort_options *, ort_create_thread *);
typedef ort_status *ort_SessionOptionsSetCustomThreadCreationOptions(ort_options *, void *options);
typedef ort_status *ort_SessionOptionsSetCustomJoinThreadFn(ort_options *, ort_join_thread *);

/* ORT(table, Run)(session, …) */
#define ORT(table, name) ((ort_##name *)(table)[ORT_##name])

#endif
