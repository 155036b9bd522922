# One heartbeat over HTTP, for the task scheduler: Windows 7 and newer, PowerShell 2 to 5 and 7, nothing installed.
# Run as administrator with -Install. This file is ASCII: PowerShell 5 reads others by the machine's code page.
param([switch]$Install, [switch]$Uninstall, [switch]$Goodbye)

$Url = '@URL@'
$Site = '@SITE@'
$Terminal = '@TERMINAL@'
$EveryMinutes = @INTERVAL_MIN@
# What the five services are checked by, 'process:NAME' (without .exe) or 'tcp:HOST:PORT':
# video_conference, emergency, publicity, supervision, learning.
$Services = @{
    # 'video_conference' = 'process:wemeetapp'
}

Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
$Base = Join-Path $env:ProgramData 'zhdj-beat'
$KeepMost = 1440
$BatchMost = 99
$TaskNames = @('zhdj-beat', 'zhdj-goodbye')

function Get-UptimeSeconds {
    # Environment.TickCount wraps after 25 days.
    return [int64]([Diagnostics.Stopwatch]::GetTimestamp() / [Diagnostics.Stopwatch]::Frequency)
}

function Get-EpochMilliseconds {
    $epoch = New-Object DateTime 1970, 1, 1, 0, 0, 0, ([DateTimeKind]::Utc)
    return [int64]([DateTime]::UtcNow - $epoch).TotalMilliseconds
}

function Read-Lines([string]$Path) {
    if (Test-Path $Path) { return [IO.File]::ReadAllLines($Path) }
}

# Boot id and sequence: the boot is a new one when the uptime has gone back.
function Get-Count([int64]$Uptime) {
    $path = Join-Path $Base 'state.txt'
    $boot = [Guid]::NewGuid().ToString('N').Substring(0, 16)
    $seq = 0
    $parts = @(@(Read-Lines $path) -join ' ' -split ' ')
    if ($parts.Count -eq 3 -and $parts[1] -match '^\d+$' -and $parts[2] -match '^\d+$') {
        if ([int64]$parts[2] -le $Uptime) {
            $boot = $parts[0]
            $seq = [int64]$parts[1] + 1
        }
    }
    [IO.File]::WriteAllText($path, "$boot $seq $Uptime")
    return @($boot, $seq)
}

function Test-Service([string]$Spec) {
    if ($Spec -match '^process:(.+)$') {
        if (@(Get-Process -Name $Matches[1] -ErrorAction SilentlyContinue).Count -gt 0) { return 'ok' }
        return 'fail'
    }
    if ($Spec -match '^tcp:(.+):(\d+)$') {
        $client = New-Object Net.Sockets.TcpClient
        try {
            $waiting = $client.BeginConnect($Matches[1], [int]$Matches[2], $null, $null)
            if ($waiting.AsyncWaitHandle.WaitOne(3000, $false) -and $client.Connected) { return 'ok' }
            return 'fail'
        } catch {
            return 'fail'
        } finally {
            $client.Close()
        }
    }
    return 'na'
}

# ConvertTo-Json is not in PowerShell 2; all texts here are ids and need no escaping.
function New-Beat {
    $uptime = Get-UptimeSeconds
    $count = Get-Count $uptime
    $said = @()
    foreach ($name in $Services.Keys) {
        $state = Test-Service $Services[$name]
        $said += ('"{0}":"{1}"' -f $name, $state)
    }
    $fields = @(
        ('"site":"{0}"' -f $Site),
        ('"terminal":"{0}"' -f $Terminal),
        ('"boot":"{0}"' -f $count[0]),
        ('"seq":{0}' -f $count[1]),
        ('"sent_at":{0}' -f (Get-EpochMilliseconds)),
        ('"uptime_s":{0}' -f $uptime),
        '"version":"ps1 1"'
    )
    if ($said.Count -gt 0) { $fields += ('"services":{' + ($said -join ',') + '}') }
    return '{' + ($fields -join ',') + '}'
}

# False where this .NET cannot do TLS 1.2 (Windows 7 without updates); Windows itself then can.
function Enable-Tls12 {
    if ($Url -notlike 'https:*') { return $true }
    try {
        [Net.ServicePointManager]::SecurityProtocol = [Enum]::ToObject([Net.SecurityProtocolType], 3072)
        return $true
    } catch {
        return $false
    }
}

function Send-ByNet([string]$Body, [string]$Token) {
    $request = [Net.WebRequest]::Create("$Url/api/v1/heartbeats")
    $request.Method = 'POST'
    $request.ContentType = 'application/json'
    $request.Timeout = 10000
    $request.ReadWriteTimeout = 10000
    # The token is for this server, whatever it answers.
    $request.AllowAutoRedirect = $false
    $request.ServicePoint.Expect100Continue = $false
    $request.Headers.Add('Authorization', "Bearer $Token")
    $bytes = [Text.Encoding]::ASCII.GetBytes($Body)
    $request.ContentLength = $bytes.Length
    $stream = $request.GetRequestStream()
    $stream.Write($bytes, 0, $bytes.Length)
    $stream.Close()
    try {
        $response = $request.GetResponse()
    } catch {
        # An answer of 400 and above is an exception here.
        $found = $_.Exception
        while ($found -ne $null -and -not ($found -is [Net.WebException])) { $found = $found.InnerException }
        if ($found -eq $null -or $found.Response -eq $null) { throw }
        $response = $found.Response
    }
    $status = [int]$response.StatusCode
    $response.Close()
    return $status
}

function Send-ByWindows([string]$Body, [string]$Token) {
    $http = New-Object -ComObject WinHttp.WinHttpRequest.5.1
    $http.SetTimeouts(5000, 5000, 10000, 10000)
    $http.Open('POST', "$Url/api/v1/heartbeats", $false)
    # Option 9: protocols, 2048 is TLS 1.2. Option 6: redirects.
    $set = [Reflection.BindingFlags]::SetProperty
    [void][__ComObject].InvokeMember('Option', $set, $null, $http, @(9, 2048))
    [void][__ComObject].InvokeMember('Option', $set, $null, $http, @(6, $false))
    $http.SetRequestHeader('Content-Type', 'application/json')
    $http.SetRequestHeader('Authorization', "Bearer $Token")
    $http.Send($Body)
    return [int]$http.Status
}

# The status, or 0 where there was no answer.
function Send-Body([string]$Body) {
    $token = [IO.File]::ReadAllText((Join-Path $Base 'token')).Trim()
    $status = 0
    $why = ''
    try {
        if (Enable-Tls12) { $status = Send-ByNet $Body $token } else { $status = Send-ByWindows $Body $token }
    } catch {
        $why = $_.Exception.Message
    }
    # For whoever looks what is wrong: one line, of the last attempt.
    $now = [DateTime]::Now.ToString('yyyy-MM-dd HH:mm:ss')
    [IO.File]::WriteAllText((Join-Path $Base 'last.txt'), "$now $status $why")
    return $status
}

function Send-Beat {
    $path = Join-Path $Base 'pending.txt'
    $waiting = @(Read-Lines $path | Where-Object { $_ })
    $beat = New-Beat
    # The new one first: it says that the device lives now. Then the oldest.
    $batch = @($beat) + @($waiting | Select-Object -First $BatchMost)
    $status = Send-Body ('[' + ($batch -join ',') + ']')
    if (@(202, 400, 413, 422) -contains $status) {
        # Taken; or never will be, however often it is sent.
        $left = @($waiting | Select-Object -Skip $BatchMost)
    } else {
        $left = @(@($waiting) + @($beat) | Select-Object -Last $KeepMost)
    }
    [IO.File]::WriteAllLines($path, [string[]]$left)
    if ($status -ne 202) { exit 1 }
}

function Get-TaskXml([string]$Triggers, [string]$More) {
    $shell = Join-Path $env:SystemRoot 'System32\WindowsPowerShell\v1.0\powershell.exe'
    $file = Join-Path $Base 'zhdj-beat.ps1'
    $arguments = '-NoProfile -NonInteractive -ExecutionPolicy Bypass -File "{0}"{1}' -f $file, $More
    $arguments = [Security.SecurityElement]::Escape($arguments)
    return @"
<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Triggers>
$Triggers
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>S-1-5-18</UserId>
      <RunLevel>HighestAvailable</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>true</AllowHardTerminate>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>false</RunOnlyIfNetworkAvailable>
    <IdleSettings>
      <StopOnIdleEnd>false</StopOnIdleEnd>
      <RestartOnIdle>false</RestartOnIdle>
    </IdleSettings>
    <Enabled>true</Enabled>
    <Hidden>false</Hidden>
    <ExecutionTimeLimit>PT1M</ExecutionTimeLimit>
    <Priority>5</Priority>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>$shell</Command>
      <Arguments>$arguments</Arguments>
    </Exec>
  </Actions>
</Task>
"@
}

function Register-Task([string]$Name, [string]$Xml) {
    $file = Join-Path $Base "$Name.xml"
    # schtasks reads UTF-16 with a byte order mark.
    [IO.File]::WriteAllText($file, $Xml, [Text.Encoding]::Unicode)
    & schtasks.exe /Create /TN $Name /XML $file /F | Out-Null
    if ($LASTEXITCODE -ne 0) { throw "schtasks: the task $Name could not be made" }
}

function Assert-Administrator {
    $who = New-Object Security.Principal.WindowsPrincipal ([Security.Principal.WindowsIdentity]::GetCurrent())
    if (-not $who.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
        throw 'Run it as administrator.'
    }
}

function Install-Beat {
    Assert-Administrator
    $here = Split-Path -Parent $script:MyInvocation.MyCommand.Path
    if (-not (Test-Path $Base)) { New-Item -ItemType Directory -Path $Base | Out-Null }
    # Only the system (S-1-5-18) and administrators (S-1-5-32-544) read the token.
    & icacls.exe $Base /inheritance:r /grant '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F' | Out-Null
    if ($LASTEXITCODE -ne 0) { throw "icacls: $Base could not be protected" }
    foreach ($name in @('zhdj-beat.ps1', 'token')) {
        Copy-Item -Path (Join-Path $here $name) -Destination (Join-Path $Base $name) -Force
    }
    # By time, not by boot alone: with fast startup Windows does not really boot. Without an end.
    $beat = @"
    <BootTrigger><Enabled>true</Enabled></BootTrigger>
    <TimeTrigger>
      <Repetition><Interval>PT${EveryMinutes}M</Interval><StopAtDurationEnd>false</StopAtDurationEnd></Repetition>
      <StartBoundary>2020-01-01T00:00:00</StartBoundary>
      <Enabled>true</Enabled>
    </TimeTrigger>
"@
    # Event 1074 of the system log: a shutdown or restart was asked for.
    $bye = @"
    <EventTrigger>
      <Enabled>true</Enabled>
      <Subscription>&lt;QueryList&gt;&lt;Query Id="0" Path="System"&gt;&lt;Select Path="System"&gt;*[System[(EventID=1074)]]&lt;/Select&gt;&lt;/Query&gt;&lt;/QueryList&gt;</Subscription>
    </EventTrigger>
"@
    Register-Task $TaskNames[0] (Get-TaskXml $beat '')
    Register-Task $TaskNames[1] (Get-TaskXml $bye ' -Goodbye')
    & schtasks.exe /Run /TN $TaskNames[0] | Out-Null
    Write-Host "Installed in $Base. What the last attempt said is in last.txt: 202 is right."
}

function Uninstall-Beat {
    Assert-Administrator
    foreach ($name in $TaskNames) { & schtasks.exe /Delete /TN $name /F | Out-Null }
    Remove-Item -Path $Base -Recurse -Force
    Write-Host 'Removed.'
}

if ($Install) {
    Install-Beat
} elseif ($Uninstall) {
    Uninstall-Beat
} elseif ($Goodbye) {
    $said = Send-Body ('{{"site":"{0}","terminal":"{1}","status":"off"}}' -f $Site, $Terminal)
    if ($said -ne 202) { exit 1 }
} else {
    Send-Beat
}
