// SSChild.exe made of our own worker: runs ``python -m prefork.worker.guest`` with what stands
// on its own command line, in its own process.  It stands beside python311.dll.
#include <windows.h>

#define OWN L"-P", L"-m", L"prefork.worker.guest", L"--accept-mutex-name", L"sschild", \
            L"--target", L"prefork.echo:handle"

int wmain(int count, wchar_t **given) {
    wchar_t *words[64] = {given[0], OWN};
    int own = 8;
    for (int index = 1; index < count && own < 63; index++) words[own++] = given[index];
    HMODULE python = LoadLibraryW(L"python311.dll");
    if (!python) return 101;
    int (*run)(int, wchar_t **) = (void *)GetProcAddress(python, "Py_Main");
    return run ? run(own, words) : 102;
}
