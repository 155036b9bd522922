@echo off
rem Right-click this file and choose "Run as administrator". With the word remove: takes everything away.
if /i "%~1"=="remove" (
    powershell.exe -NoProfile -ExecutionPolicy Bypass -File "%~dp0zhdj-beat.ps1" -Uninstall
) else (
    powershell.exe -NoProfile -ExecutionPolicy Bypass -File "%~dp0zhdj-beat.ps1" -Install
)
pause
