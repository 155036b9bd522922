#!/usr/bin/env python3
"""核对一个年度档案。只用 Python 自带的标准库，不需要 zhdj-monitor。

用法：python3 verify_archive.py [档案目录] [--anchors 锚点文件]

目录不写时为本文件所在的目录。逐一核对：清单中的每个文件（是否在、字节数、SHA-256、行数）、有无清单之外的文件、每条链的
每一环（由正文重新计算哈希），链与锚点是否相符，定稿的报告与链上所记的是否相符，附件与其文件名（内容的 SHA-256）是否
相符。全部相符退出码为 0，否则为 1，并逐条说明何处不符。
锚点文件可用审计人员另行保存的（例如由每日邮件中的行拼成），这样档案本身被整体替换也能发现。
"""

import gzip
import hashlib
import json
import os
import sys


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def canonical(body):
    """正文的规范写法：键按字母排序、无空格、UTF-8。"""
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def link(tag, n, previous, body):
    """h(n) = SHA-256(标签 换行 编号 换行 前一条的哈希 换行 正文)。"""
    return hashlib.sha256(("%s\n%d\n%s\n" % (tag, n, previous)).encode() + canonical(body)).hexdigest()


def lines_of(path):
    with open(path, "rb") as file:
        return [line for line in file.read().split(b"\n") if line.strip()]


def check_files(folder, manifest):
    """清单中的文件，和清单之外的文件。"""
    for item in manifest["files"]:
        name = item["name"]
        path = os.path.join(folder, *name.split("/"))
        if not os.path.isfile(path):
            yield "%s：文件不在" % name
        elif os.path.getsize(path) != item["bytes"] or sha256(path) != item["sha256"]:
            lines = len(lines_of(path)) if name.endswith(".jsonl") else None
            if "lines" in item and lines != item["lines"]:
                yield "%s：应有 %d 行，现有 %s 行，文件被改动" % (name, item["lines"], lines)
            else:
                yield "%s：内容与清单的 SHA-256 不符，文件被改动" % name
    known = {item["name"] for item in manifest["files"]} | {"manifest.json", "manifest.sha256"}
    for where, _, names in os.walk(folder):
        for name in names:
            found = os.path.relpath(os.path.join(where, name), folder).replace(os.sep, "/")
            if found not in known and "__pycache__" not in found:
                yield "%s：不在清单中，是后加的文件" % found


def read_anchors(path):
    found = {}
    if not os.path.isfile(path):
        return found
    for line in lines_of(path):
        try:
            said = json.loads(line.decode())
            found.setdefault((said["tag"], int(said["n"])), (said["at"], said["hash"]))
        except (ValueError, KeyError, TypeError):
            continue
    return found


def check_chain(folder, chain, anchors):
    """一条链在本年度的各环。"""
    tag, n, previous = chain["tag"], chain["first"] - 1, chain["previous"]
    path = os.path.join(folder, *chain["file"].split("/"))
    if not os.path.isfile(path):
        return
    for line in lines_of(path):
        try:
            record = json.loads(line.decode("utf-8", "surrogatepass"))
            number, body, stored = record["n"], record["body"], record["hash"]
        except (ValueError, KeyError, TypeError):
            yield "链 %s 第 %d 条：这一行无法读取" % (tag, n + 1)
            return
        if number != n + 1:
            yield "链 %s 第 %d 条：缺失（下一行是第 %s 条）" % (tag, n + 1, number)
            return
        if link(tag, number, previous, body) != stored:
            yield "链 %s 第 %d 条：内容与其哈希不符，被改动过" % (tag, number)
            return
        if anchors.get((tag, number), ("", stored))[1] != stored:
            yield "链 %s 第 %d 条：与 %s 的锚点不符，链被整体改写过" % (tag, number, anchors[tag, number][0])
            return
        n, previous = number, stored
    if n != chain["last"] or previous != chain["hash"]:
        yield "链 %s：应到第 %d 条，现只到第 %d 条，链尾被截去" % (tag, chain["last"], n)


def check_logs(folder, manifest):
    """随档案保存的证据日志：解压后与证据链上的哈希相同。"""
    for log in manifest.get("logs", []):
        path = os.path.join(folder, *log["name"].split("/"))
        digest = hashlib.sha256()
        try:
            with gzip.open(path, "rb") as file:
                for block in iter(lambda: file.read(1 << 20), b""):
                    digest.update(block)
        except (OSError, EOFError) as error:
            yield "%s：无法解压（%s）" % (log["name"], error)
            continue
        if digest.hexdigest() != log["plain_sha256"]:
            yield "%s：内容与证据链上的哈希不符" % log["name"]


def check_reports(folder, manifest):
    """定稿的报告：文件内容的 SHA-256 与链 report 上所记的相同，链上本年度的每一份都在。"""
    chain = next((c for c in manifest["chains"] if c["tag"] == "report"), None)
    path = os.path.join(folder, *chain["file"].split("/")) if chain else ""
    files = {item["n"]: item["name"] for item in manifest.get("reports", [])}
    for line in lines_of(path) if os.path.isfile(path) else []:
        try:
            record = json.loads(line.decode("utf-8", "surrogatepass"))
            n, body = record["n"], record["body"]
            of_year = body["period"].startswith("%d-" % manifest["year"])
            expected = body["sha256"]
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # 核对链时已说明
        name = files.pop(n, None)
        if name is None and of_year:
            yield "链 report 第 %d 条：%s 的报告不在档案中" % (n, body["period"])
        elif name is not None:
            file = os.path.join(folder, *name.split("/"))
            if os.path.isfile(file) and sha256(file) != expected:
                yield "%s：内容与链 report 第 %d 条所记的 SHA-256 不符" % (name, n)
    for n, name in sorted(files.items()):
        yield "%s：链 report 上没有第 %d 条" % (name, n)


def check_papers(folder, manifest):
    """附件：文件名就是内容的 SHA-256；附件表上本年度的每一份都在。"""
    files = {item["name"]: item["sha256"] for item in manifest["files"]}
    for name, digest in sorted(files.items()):
        if name.startswith("papers/") and name != "papers/" + digest:
            yield "%s：内容与文件名（其 SHA-256）不符，存档之前已被改动" % name
    for table in manifest["tables"]:
        path = os.path.join(folder, *table["file"].split("/"))
        for line in lines_of(path) if table["name"] == "paper" and os.path.isfile(path) else []:
            try:
                name = "papers/" + json.loads(line.decode("utf-8"))["sha256"]
            except (ValueError, KeyError, TypeError):
                continue  # 核对清单时已说明
            if name not in files:
                yield "%s：附件表上有，档案中没有这个文件" % name


def check(folder, anchors_file=None):
    """所有不符之处，每处一句。"""
    path = os.path.join(folder, "manifest.json")
    try:
        with open(os.path.join(folder, "manifest.sha256"), encoding="ascii") as file:
            expected = file.read().split()[0]
        with open(path, encoding="utf-8") as file:
            manifest = json.load(file)
    except (OSError, ValueError, IndexError) as error:
        return None, ["manifest.json、manifest.sha256：无法读取（%s）" % error]
    bad = []
    if sha256(path) != expected:
        bad.append("manifest.json：与 manifest.sha256 不符，清单被改动")
    try:
        bad += check_files(folder, manifest)
        anchors = read_anchors(anchors_file or os.path.join(folder, "anchors.jsonl"))
        for chain in manifest["chains"]:
            bad += check_chain(folder, chain, anchors)
            for tag, number in sorted(anchors):
                inside = chain["head"]["n"] < number and anchors[tag, number][0] < manifest["made_at"]
                if tag == chain["tag"] and inside:
                    bad.append(
                        "链 %s：锚点已记到第 %d 条，档案制作时库中只到第 %d 条" % (tag, number, chain["head"]["n"])
                    )
                    break
        bad += check_logs(folder, manifest)
        bad += check_reports(folder, manifest)
        bad += check_papers(folder, manifest)
    except (KeyError, TypeError, AttributeError) as error:
        bad.append("manifest.json：缺少内容（%r）" % error)
    return manifest, bad


def main():
    arguments = sys.argv[1:]
    anchors_file = None
    if "--anchors" in arguments:
        at = arguments.index("--anchors")
        if at + 1 == len(arguments) or not os.path.isfile(arguments[at + 1]):
            print("--anchors 之后须为锚点文件")
            return 2
        anchors_file = arguments[at + 1]
        del arguments[at : at + 2]
    folder = arguments[0] if arguments else os.path.dirname(os.path.abspath(__file__))
    manifest, bad = check(folder, anchors_file)
    for sentence in bad:
        print(sentence)
    if bad or manifest is None:
        print("核对不通过：%d 处不符" % len(bad))
        return 1
    links = sum(chain["last"] - chain["first"] + 1 for chain in manifest["chains"])
    print("核对通过：%d 个文件，%d 条链共 %d 环" % (len(manifest["files"]), len(manifest["chains"]), links))
    for chain in manifest["chains"]:
        print("  链 %s：第 %d 至 %d 条，最后的哈希 %s" % (chain["tag"], chain["first"], chain["last"], chain["hash"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
