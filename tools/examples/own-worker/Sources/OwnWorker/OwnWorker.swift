import StemwireWorker

@main
struct OwnWorker {
    static func main() async {
        await Worker.main(udfs: [BrightestAt.self])
    }
}
